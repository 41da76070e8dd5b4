"""Runs whose work folder and prepared log are in a bucket."""

import json
import pathlib
import threading

import pytest

import pinrec_jax
from pinrec_jax import cli, files, workflows
from pinrec_jax import config as config_lib
from pinrec_jax.buckets import mirror, objects, work_folder
from pinrec_jax.data import dataset, store
from pinrec_jax.inference import bundle_folders
from pinrec_jax.training import errors, loop

RUN = "memory://b/run"
REQUEST = {"user": "me", "events": [{"item": 1}, {"item": 5}]}
FIGURES = ("index_seconds", "train_seconds", "train_tokens_per_s")


def answers(workdir):
  """Returns the answer of the current bundle."""
  retriever = pinrec_jax.Retriever.load(workdir)
  return list(retriever.retrieve([REQUEST]))


def report(content):
  """Returns the figures of a report without times."""
  found = json.loads(content)
  for section in found.values():
    for name in FIGURES:
      section.pop(name, None)
  return found


@pytest.fixture(scope="module")
def local(tmp_path_factory, tiny):
  """Returns the work folder of a run on the local disk."""
  folder = tmp_path_factory.mktemp("local")
  config = tiny(folder / "prepared")
  for mode in ("train", "index", "evaluate"):
    cli.run(mode, config, folder / "run")
  return folder / "run"


def test_a_run_on_new_machines_equals_a_local_run(
  tiny, bucket, machine, local, monkeypatch
):
  """Each machine has an empty disk. The first one dies in its training."""
  config = tiny("memory://b/prepared")
  uploaded = threading.Event()
  real = mirror.Mirror.push

  def pushed(self, *args):
    real(self, *args)
    uploaded.set()

  with monkeypatch.context() as patch:
    patch.setattr(mirror.Mirror, "push", pushed)
    seen = []

    def saved(folder, wait):
      work_folder_saved(folder, wait)
      assert uploaded.wait(60)
      uploaded.clear()
      seen.append(len(bucket.find("/b/run/checkpoints")))
      if len(seen) == 1:
        patch.setattr(mirror.Mirror, "push", lambda *_: None)
        raise KeyboardInterrupt  # Nothing is uploaded after it.

    work_folder_saved = work_folder.saved
    patch.setattr(loop.work_folder, "saved", saved)
    with pytest.raises(KeyboardInterrupt):
      cli.run("train", config, RUN)
  assert seen[0] > 3
  assert not bucket.exists("/b/run/report.json")
  for mode in ("train", "index", "evaluate"):
    machine(mode)
    cli.run(mode, config, RUN)
  # The log was prepared once.
  assert not (machine("evaluate") / "memory/b/prepared/downloads").exists()
  found = report(bucket.cat_file("/b/run/report.json"))
  assert found == report((local / "report.json").read_text())
  machine("reader")
  assert answers(RUN) == answers(local)
  assert answers(f"{RUN}/bundles") == answers(local)
  version = bundle_folders.current(local / "bundles")
  assert answers(pathlib.Path(f"{RUN}/bundles/{version}")) == answers(local)
  # A reader has no checkpoints.
  assert not (machine("reader") / "memory/b/run/checkpoints").exists()


def test_a_damaged_object_of_a_bundle_is_named(bucket, machine, local):
  for path in filter(pathlib.Path.is_file, (local / "bundles").rglob("*")):
    name = path.relative_to(local).as_posix()
    bucket.pipe_file(f"/b/run/{name}", path.read_bytes())
  (name,) = bucket.glob("/b/run/bundles/*/vectors.npy")
  good = bucket.cat_file(name)
  bucket.pipe_file(name, good[:-1] + b"?")
  for _ in range(2):
    with pytest.raises(ValueError, match=rf"memory:/{name} is damaged"):
      answers(RUN)
  bucket.pipe_file(name, good)
  assert answers(RUN) == answers(local)


def test_a_damaged_prepared_log_is_prepared_again(
  tiny, bucket, machine, capsys
):
  config = tiny("memory://b/prepared").data
  whole = dataset.load(config)
  (name,) = bucket.glob("/b/prepared/*/*/*/events/time")
  good = bucket.cat_file(name)
  bucket.pipe_file(name, good[:-1] + b"?")
  for other in ("second", "third"):
    machine(other)
    capsys.readouterr()
    found = dataset.load(config)
    assert found.events[3].time.tolist() == whole.events[3].time.tolist()
    damaged = "events/time is damaged" in capsys.readouterr().err
    assert damaged == (other == "second")
  assert bucket.cat_file(name) == good


def test_a_damaged_copy_of_a_prepared_log_is_downloaded_again(
  tiny, bucket, machine, capsys
):
  config = tiny("memory://b/prepared").data
  folder = dataset.load(config).folder
  capsys.readouterr()
  for name in ("names.json", "events/time"):
    (folder / name).write_bytes(b"?")
    found = dataset.load(config)
    assert len(found.users) == 60
    said = capsys.readouterr().err
    assert f"{name} is damaged" in said
    assert "preparing" not in said


def test_a_prepared_log_that_was_not_uploaded_is_uploaded_later(
  tiny, bucket, machine, monkeypatch
):
  config = tiny("memory://b/prepared").data
  with monkeypatch.context() as patch:
    patch.setattr(type(bucket), "put_file", fail)
    with pytest.raises(ConnectionError, match=r"memory://b/prepared/.* cann"):
      dataset.load(config)
  found = dataset.load(config)
  assert bucket.glob(f"/b/prepared/*/*/*/{store.MANIFEST}")
  assert found.folder.is_relative_to(machine("first"))


def fail(*_, **__):
  """Stands for a network that is gone."""
  raise TimeoutError("no route to host")


def test_a_training_goes_on_without_the_network(
  tiny, bucket, machine, monkeypatch, capsys
):
  """The local copy stays, and the same command uploads it."""
  config = tiny("memory://b/prepared")
  with monkeypatch.context() as patch:
    real = work_folder.saved

    def saved(folder, wait):
      patch.setattr(type(bucket), "put_file", fail)
      real(folder, wait)

    patch.setattr(loop.work_folder, "saved", saved)
    with pytest.raises(ConnectionError, match=r"memory://b/run cannot be used"):
      workflows.train(config, RUN)
  said = capsys.readouterr().err
  assert "The next checkpoint is uploaded with this one" in said
  assert not bucket.find("/b/run/checkpoints")
  monkeypatch.setattr(loop.step_lib, "train_step", fail)  # It has ended.
  assert workflows.train(config, RUN).last_step == 4
  assert bucket.exists("/b/run/checkpoints/4/digests.json")


def test_a_training_that_was_taken_over_stops(
  tiny, bucket, machine, monkeypatch
):
  config = tiny("memory://b/prepared")
  real = work_folder.saved

  def saved(folder, wait):
    machine("second")
    mirror.Mirror(RUN).claim()
    machine("first")
    real(folder, wait)
    for uploads in work_folder._trained.values():
      for thread in uploads._threads:
        thread.join()

  monkeypatch.setattr(loop.work_folder, "saved", saved)
  with pytest.raises(ValueError, match=r"b/run is used by process .* so this"):
    workflows.train(config, RUN)
  assert not bucket.find("/b/run/checkpoints")
  assert (machine("first") / "memory/b/run/checkpoints/2").is_dir()


def test_a_stopped_training_is_uploaded(tiny, bucket, machine, monkeypatch):
  config = tiny("memory://b/prepared")

  def stopped(config, dataset, workdir):
    (workdir / "checkpoints").mkdir()
    files.write(workdir / "checkpoints" / "note", "x")
    raise errors.RunStoppedError("stopped")

  monkeypatch.setattr(workflows.loop, "train", stopped)
  with pytest.raises(errors.RunStoppedError):
    workflows.train(config, RUN)
  assert bucket.exists("/b/run/checkpoints/note")


def test_several_processes_are_refused(tiny, monkeypatch, tmp_path):
  monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
  with pytest.raises(ValueError, match=r"JAX_NUM_PROCESSES is 2; .* mount the"):
    workflows.train(tiny(tmp_path), "gs://bucket/run")


def test_a_bad_field_is_named_before_anything_is_downloaded(
  tiny, bucket, machine, monkeypatch, tmp_path
):
  monkeypatch.setattr(objects.Objects, "list", fail)
  config = config_lib.replace(tiny(tmp_path), **{"train.batch_size": -1})
  for call in (workflows.evaluate, lambda *a: cli.run("evaluate", *a)):
    with pytest.raises(ValueError, match=r"config.train.batch_size is -1"):
      call(config, RUN)


def test_a_missing_bundle_is_named(bucket, machine):
  with pytest.raises(FileNotFoundError, match=r"no bundle in .*/memory/b/run"):
    answers(RUN)


def test_a_prepared_log_that_is_uploaded_in_part_is_not_read(
  tiny, bucket, machine, monkeypatch
):
  config = tiny("memory://b/prepared").data
  real, left = type(bucket).put_file, 0

  def failing(self, *args, **fields):
    nonlocal left
    if left == 0:
      raise TimeoutError("no route to host")
    left -= 1
    return real(self, *args, **fields)

  monkeypatch.setattr(type(bucket), "put_file", failing)
  for left in (1, 5, 12):
    machine(f"writer {left}")
    with pytest.raises(ConnectionError, match="no route to host"):
      dataset.load(config)
    assert bucket.find("/b/prepared")
    assert not bucket.glob(f"/b/prepared/*/*/*/{store.MANIFEST}")
  left = 100
  machine("reader")
  assert len(dataset.load(config).users) == 60
