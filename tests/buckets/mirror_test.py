"""Changes on either side, on several machines, and kills at any moment."""

import shutil

import pytest

from pinrec_jax import files
from pinrec_jax.buckets import mirror, objects, work_folder
from pinrec_jax.inference import bundle_folders
from pinrec_jax.training import checkpoint_files

RUN = "memory://b/run"


def write(folder, content):
  """Writes files; digests.json and manifests get their real content."""
  for name, text in content.items():
    files.write(folder / name, text)


def checkpoint(folder, step, text=""):
  """Writes a checkpoint, which appears at once, as those of Orbax do."""
  part = folder / "checkpoints" / f"{step}.orbax-checkpoint-tmp"
  write(part, {"state/a": f"a{step}{text}", "state/b": f"b{step}"})
  files.write_json(part / "digests.json", files.digests(part))
  part.rename(folder / "checkpoints" / str(step))


def bundle(folder, text):
  """Writes a bundle and makes it the current one; returns its version."""
  with files.new_folder(folder / "bundles" / ".new") as part:
    write(part, {"vectors.npy": f"v{text}", "catalog/items": f"i{text}"})
    version = bundle_folders.write_manifest(part, {})
  (folder / "bundles" / ".new").rename(folder / "bundles" / version)
  bundle_folders.set_current(folder / "bundles", version)
  return version


def tree(folder):
  """Returns the content of all files that are not hidden."""
  return {
    str(path.relative_to(folder)): path.read_text()
    for path in sorted(folder.rglob("*"))
    if path.is_file() and "/." not in f"/{path.relative_to(folder)}"
  }


def stored(bucket):
  """Returns the content of all objects that are not hidden."""
  found = {
    name.removeprefix("/b/run/"): bucket.cat_file(name).decode()
    for name in bucket.find("/b/run")
  }
  return {n: text for n, text in found.items() if "/." not in f"/{n}"}


def fetched(machine, name):
  """Returns the local copy on a machine, brought up to date."""
  machine(name)
  found = mirror.Mirror(RUN)
  found.fetch()
  return found.folder


def test_both_sides_agree_after_a_push_and_a_fetch(bucket, machine):
  found = mirror.Mirror(RUN)
  found.fetch()
  checkpoint(found.folder, 1)
  write(found.folder, {"metrics.jsonl": "1\n", ".lock": "", "x/.new-1/a": "a"})
  write(found.folder, {"store.sqlite-wal": ""})
  write(found.folder, {"checkpoints/2.orbax-checkpoint-tmp-1/a": ""})
  found.push()
  assert set(stored(bucket)) == {
    "checkpoints/1/state/a", "checkpoints/1/state/b",
    "checkpoints/1/digests.json", "metrics.jsonl",
  }  # fmt: skip
  assert tree(fetched(machine, "second")) == stored(bucket)


def test_only_changes_are_copied(bucket, machine, monkeypatch):
  copied = []
  for name in ("download", "upload"):
    real = getattr(objects.Objects, name)

    def counted(self, names, *rest, real=real):
      names = names if isinstance(names, dict) else list(names)
      copied.extend(names)
      return real(self, names, *rest)

    monkeypatch.setattr(objects.Objects, name, counted)
  found = mirror.Mirror(RUN)
  write(found.folder, {"a": "1", "b": "1"})
  found.push()
  assert copied == ["a", "b"]
  copied.clear()
  found.push()
  found.fetch()
  assert not copied
  write(found.folder, {"a": "2"})
  found.push()
  assert copied == ["a"]
  machine("second")
  other = mirror.Mirror(RUN)
  other.fetch()
  copied.clear()
  write(other.folder, {"b": "3"})
  other.push()
  assert copied == ["b"]
  machine("first")
  copied.clear()
  found.fetch()
  assert copied == ["b"]
  assert tree(found.folder) == {"a": "2", "b": "3"}


def test_what_is_deleted_on_one_side_is_deleted_on_the_other(bucket, machine):
  first = mirror.Mirror(RUN)
  for step in (1, 2):
    checkpoint(first.folder, step)
  first.push()
  second = fetched(machine, "second")
  assert {*checkpoint_files.steps(second / "checkpoints")} == {1, 2}
  machine("first")
  checkpoint(first.folder, 3)
  shutil.rmtree(first.folder / "checkpoints" / "1")
  first.push()
  assert not bucket.find("/b/run/checkpoints/1")
  assert tree(fetched(machine, "second")) == tree(first.folder)
  assert not (second / "checkpoints" / "1").exists()


def test_a_deleted_local_copy_deletes_nothing_in_the_bucket(bucket, machine):
  found = mirror.Mirror(RUN)
  checkpoint(found.folder, 1)
  found.push()
  before = stored(bucket)
  shutil.rmtree(found.folder)
  found.folder.mkdir(parents=True)
  found.push()
  assert stored(bucket) == before


def test_a_change_that_was_not_uploaded_stays_if_no_other_has_trained(
  bucket, machine
):
  found = mirror.Mirror(RUN)
  found.claim()
  write(found.folder, {"metrics.jsonl": "1\n"})
  found.push()
  write(found.folder, {"metrics.jsonl": "1\n2\n3\n"})
  checkpoint(found.folder, 5)
  # The process is killed after one upload, and the index knows nothing of it.
  bucket.pipe_file("/b/run/metrics.jsonl", b"1\n2\n")
  again = mirror.Mirror(RUN)
  again.fetch()
  assert (again.folder / "metrics.jsonl").read_text() == "1\n2\n3\n"
  again.claim()
  again.push()
  assert stored(bucket) == tree(again.folder)


def test_a_machine_that_comes_back_continues_from_the_bucket(
  bucket, machine, capsys
):
  first = mirror.Mirror(RUN)
  first.claim()
  checkpoint(first.folder, 1)
  write(first.folder, {"metrics.jsonl": "1\n"})
  first.push()
  write(first.folder, {"metrics.jsonl": "1\nlost\n"})
  checkpoint(first.folder, 2, "lost")
  machine("second")
  second = mirror.Mirror(RUN)
  second.claim()
  assert "memory://b/run was used by process" in capsys.readouterr().err
  checkpoint(second.folder, 2)
  write(second.folder, {"metrics.jsonl": "1\n2\n"})
  second.push()
  second.release()
  machine("first")
  back = mirror.Mirror(RUN)
  back.claim()
  assert tree(back.folder) == stored(bucket)
  assert (back.folder / "metrics.jsonl").read_text() == "1\n2\n"
  checkpoint_files.check(back.folder / "checkpoints" / "2")
  said = capsys.readouterr().err
  for name in ("metrics.jsonl", "checkpoints/2/digests.json"):
    assert f"{name} was not uploaded, and another machine has written" in said
  assert said.count("was not uploaded") == 2
  assert "was used by" not in said


def test_a_damaged_object_of_a_checkpoint_is_named(bucket, machine, capsys):
  """The training then uses another checkpoint, as on a local disk."""
  found = mirror.Mirror(RUN)
  checkpoint(found.folder, 1)
  found.push()
  bucket.pipe_file("/b/run/checkpoints/1/state/a", b"?")
  folder = fetched(machine, "second") / "checkpoints" / "1"
  said = capsys.readouterr().err
  assert "memory://b/run/checkpoints/1/state/a is missing or damaged" in said
  assert "state/b" not in said
  with pytest.raises(checkpoint_files.DamagedError, match="state/a is damaged"):
    checkpoint_files.check(folder)


def test_an_object_of_a_checkpoint_that_is_gone_is_uploaded_again(
  bucket, machine, capsys
):
  found = mirror.Mirror(RUN)
  checkpoint(found.folder, 1)
  found.push()
  before = stored(bucket)
  bucket.rm_file("/b/run/checkpoints/1/state/a")
  fetched(machine, "second")
  assert (
    "checkpoints/1/state/a is missing or damaged" in capsys.readouterr().err
  )
  machine("first")
  found.fetch()
  found.push()
  assert stored(bucket) == before


def test_a_file_that_is_deleted_while_it_is_uploaded_is_left_out(
  bucket, machine, monkeypatch
):
  """Orbax deletes old checkpoints while the training goes on."""
  found = mirror.Mirror(RUN)
  for step in (1, 2):
    checkpoint(found.folder, step)
  real = type(bucket).put_file

  def deleting(self, path, *args, **fields):
    shutil.rmtree(found.folder / "checkpoints" / "1", ignore_errors=True)
    real(self, path, *args, **fields)

  monkeypatch.setattr(type(bucket), "put_file", deleting)
  found.push()
  folder = fetched(machine, "second")
  assert checkpoint_files.steps(folder / "checkpoints") == [2]
  checkpoint_files.check(folder / "checkpoints" / "2")


def test_an_object_that_is_deleted_while_it_is_downloaded_is_left_out(
  bucket, machine, monkeypatch
):
  first = mirror.Mirror(RUN)
  for step in (1, 2):
    checkpoint(first.folder, step)
  first.push()
  real = type(bucket).get_file

  def deleting(self, path, *args, **fields):
    for name in bucket.find("/b/run/checkpoints/1"):
      bucket.rm_file(name)
    real(self, path, *args, **fields)

  monkeypatch.setattr(type(bucket), "get_file", deleting)
  folder = fetched(machine, "second")
  assert checkpoint_files.steps(folder / "checkpoints") == [2]
  checkpoint_files.check(folder / "checkpoints" / "2")


def test_a_bundle_that_becomes_current_during_a_fetch_is_there(
  bucket, machine, monkeypatch
):
  """The pointer is read before the listing that has to contain the bundle."""
  first = mirror.Mirror(RUN)
  bundle(first.folder, "first")
  first.push()
  second = ""
  real = objects.Objects.list

  def listing(self):
    nonlocal second
    there = real(self)
    if not second:  # Another machine writes just after the first listing.
      machine("first")
      second = bundle(first.folder, "second")
      first.push()
      machine("second")
    return there

  machine("second")
  other = mirror.Mirror(RUN)
  monkeypatch.setattr(objects.Objects, "list", listing)
  other.fetch()
  assert bundle_folders.find(other.folder / "bundles").name == second


def test_the_training_that_started_first_stops(bucket, machine):
  first = mirror.Mirror(RUN)
  first.claim()
  checkpoint(first.folder, 1)
  first.push()
  machine("second")
  second = mirror.Mirror(RUN)
  second.claim()
  checkpoint(first.folder, 2)
  before = stored(bucket)
  with pytest.raises(mirror.TakenOverError, match=r"is used by process \d+ on"):
    first.push()
  first.release()
  assert stored(bucket) == before
  second.push()  # It has not lost its claim.


def state(folder):
  """Returns what a run in a local folder would use; fails on half states."""
  steps = checkpoint_files.steps(folder / "checkpoints")
  for step in steps:
    checkpoint_files.check(folder / "checkpoints" / str(step))
    checkpoint_files.require_digests(folder / "checkpoints" / str(step))
  place = bundle_folders.find(folder)
  work_folder.complete(place)
  bundle_folders.read_manifest(place)
  for version in bundle_folders.versions(folder / "bundles"):
    work_folder.complete(folder / "bundles" / version)
    bundle_folders.read_manifest(folder / "bundles" / version)
  return steps, place.name


class KilledError(BaseException):
  """The process ends here."""


def test_a_push_that_is_killed_anywhere_leaves_a_whole_state(
  bucket, machine, monkeypatch
):
  """For every number of operations before the kill."""
  left = 1 << 30
  for name in ("put_file", "rm_file"):
    real = getattr(type(bucket), name)

    def counted(self, *args, real=real, **fields):
      nonlocal left
      if left == 0:
        raise KilledError
      left -= 1
      return real(self, *args, **fields)

    monkeypatch.setattr(type(bucket), name, counted)
  seen, number = set(), 0
  while True:
    bucket.store.clear()
    machine(f"writer {number}")
    found = mirror.Mirror(RUN)
    checkpoint(found.folder, 1)
    checkpoint(found.folder, 2)
    bundle(found.folder, "first")
    found.push()
    files.write_json(found.folder / "report.json", {})
    shutil.rmtree(found.folder / "checkpoints" / "1")
    checkpoint(found.folder, 3)
    second = bundle(found.folder, "second")
    left = number
    try:
      found.push()
      break
    except KilledError:
      left = 1 << 30
    steps, version = state(fetched(machine, f"reader {number}"))
    seen.add((*steps, version == second))
    # The same machine continues, and the other one follows.
    machine(f"writer {number}")
    found.push()
    assert state(found.folder) == ([3, 2], second)
    assert state(fetched(machine, f"reader {number}")) == ([3, 2], second)
    number += 1
  # A checkpoint, a bundle, two files, and a checkpoint that is deleted.
  assert number == 3 + 4 + 2 + 3
  assert seen == {
    (2, 1, False), (3, 2, 1, False), (3, 2, 1, True), (3, 2, True),
  }  # fmt: skip
