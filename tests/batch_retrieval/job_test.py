"""A pipeline writes the lists of the local command, to the last item."""

import gzip
import json
import pathlib
import signal
import subprocess
import sys
import time

import fsspec
import pyarrow.parquet as pq
import pytest

import pinrec_jax
from pinrec_jax.batch_retrieval import answering, job, tables
from pinrec_jax.inference import engine

RUNNERS = {
  "one process": "",
  "threads": "--direct_running_mode=multi_threading --direct_num_workers=2",
  "processes": "--direct_running_mode=multi_processing --direct_num_workers=2",
  # The interface of jobs that Flink and Spark have, too.
  "portable": "--runner=PortableRunner --job_endpoint=embed "
  "--environment_type=LOOPBACK",
}
ROOT = pathlib.Path(pinrec_jax.__file__).parent.parent
SHARD = engine.MAX_BATCH


def numbered(lines):
  """Returns the numbers of the lines that are not empty."""
  return [number for number, line in enumerate(lines, 1) if line.strip()]


@pytest.mark.parametrize("runner", RUNNERS)
def test_lists_are_those_of_the_local_command(
  runner, work, many, local, written, bad, tmp_path
):
  folder, output = tmp_path / "histories", tmp_path / "lists"
  folder.mkdir()
  files = {folder / "a.jsonl": many[:450], folder / "b.jsonl": many[450:]}
  for path, lines in files.items():
    path.write_bytes(b"\n".join(lines))
  (folder / "_SUCCESS").touch()
  report = job.retrieve(
    work, None, str(folder), "click:1", str(output),
    options=RUNNERS[runner], shard_size=SHARD,
  )  # fmt: skip
  lists, errors = written(output), bad(output)
  assert sorted(path.name for path in (output / "lists").iterdir()) == [
    "00000-00000.parquet", "00000-00001.parquet", "00001-00000.parquet",
  ]  # fmt: skip
  for path, lines in files.items():
    answers = local(path, "click:1")
    for line, answer in zip(numbered(lines), answers, strict=True):
      place = (str(path), line)
      if "error" in answer:
        row = errors.pop(place)
        assert row["error"] == answer["error"]
        assert row["user"] == answer["user"]
        assert row["request"] == lines[line - 1]
      else:
        assert lists.pop(place) == answer, place
  assert not lists
  assert not errors
  assert report.bad == 7 + 2 * 4
  assert report.users == report.new - report.bad == len(many) - 4 - report.bad


def test_all_users_of_the_log_get_the_lists_of_the_local_command(
  work, world, local, written, bad, tmp_path
):
  asked = tmp_path / "asked.jsonl"
  asked.write_text("\n".join(json.dumps({"user": u}) for u in world.users))
  report = job.retrieve(work, None, "log", None, str(tmp_path / "lists"))
  found = written(tmp_path / "lists")
  assert [*found.values()] == local(asked)
  assert [*found] == [("", line) for line in range(1, len(world.users) + 1)]
  assert {row["history"] for row in found.values()} == {"stored", "none"}
  assert not bad(tmp_path / "lists")
  assert (report.users, report.bad) == (len(world.users), 0)


@pytest.mark.parametrize(
  "form", ["gzip", pytest.param("bom", marks=pytest.mark.slow)]
)
def test_a_file_may_have_other_forms(
  form, work, many, local, written, tmp_path
):
  path, content = tmp_path / "histories.jsonl", b"\r\n".join(many)
  if form == "gzip":
    path.write_bytes(gzip.compress(content))
  else:
    path.write_bytes(b"\xef\xbb\xbf" + content)
  job.retrieve(
    work, None, str(path), None, str(tmp_path / "lists"), shard_size=SHARD
  )
  good = [answer for answer in local(path) if "error" not in answer]
  assert [*written(tmp_path / "lists").values()] == good


@pytest.mark.parametrize("content", ["", "\n \n", "{\nnull\n"])
def test_no_user_or_only_bad_rows(content, work, bad, tmp_path):
  path, output = tmp_path / "histories.jsonl", tmp_path / "lists"
  path.write_text(content)
  report = job.retrieve(work, None, str(path), None, str(output))
  assert report.users == 0
  assert report.bad == len(bad(output)) == len(content.split())
  table = pq.read_table(output / "lists")
  assert len(table) == 0
  assert table.schema.names[:4] == ["file", "line", "user", "candidates"]


def test_a_log_without_users_gives_no_lists(small, untrained, tmp_path):
  from pinrec_jax.inference import bundle

  small.index.kind = "exact"
  bundle.save(untrained(small).bundle, tmp_path / "bundles")
  report = job.retrieve(tmp_path, None, "log", None, str(tmp_path / "lists"))
  assert (report.users, report.bad, report.new) == (0, 0, 0)
  assert len(pq.read_table(tmp_path / "lists" / "lists")) == 0


def _call(work, path, output):
  """Starts a process that answers in shards of one batch."""
  script = (
    "import sys\n"
    "from pinrec_jax.batch_retrieval import job\n"
    f"job.retrieve(*sys.argv[1:2], None, sys.argv[2], None, sys.argv[3], "
    f"shard_size={SHARD})\n"
  )
  return subprocess.Popen(
    [sys.executable, "-c", script, str(work), str(path), str(output)], cwd=ROOT
  )


@pytest.mark.slow
def test_a_killed_call_continues_with_its_unfinished_shards(
  work, many, local, written, tmp_path
):
  path, output = tmp_path / "histories.jsonl", tmp_path / "lists"
  good = [line for line in many if b'"user": "' not in line]
  path.write_bytes(b"\n".join(good * 4))
  with _call(work, path, output) as process:
    deadline = time.monotonic() + 200
    while len([*(output / "lists").glob("[!.]*")]) < 2:
      assert process.poll() is None
      assert time.monotonic() < deadline
      time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
  kept = {
    one: one.stat().st_mtime_ns for one in (output / "lists").glob("[!.]*")
  }
  for one in kept:
    done = tables.done(one)
    assert done
    assert len(pq.read_table(one)) == done.users == SHARD - done.bad
  report = job.retrieve(
    work, None, str(path), None, str(output), shard_size=SHARD
  )
  files = [*(output / "lists").glob("[!.]*")]
  assert report.new == report.users + report.bad - SHARD * len(kept)
  assert len(files) > len(kept) >= 2
  for one, changed in kept.items():
    assert one.stat().st_mtime_ns == changed
  answers = [answer for answer in local(path) if "error" not in answer]
  assert [*written(output).values()] == answers
  again = job.retrieve(
    work, None, str(path), None, str(output), shard_size=SHARD
  )
  assert (again.users, again.bad) == (report.users, report.bad)
  assert again.new == 0


def test_a_finished_call_is_not_answered_again(work, tmp_path, monkeypatch):
  job.retrieve(work, None, "log", None, str(tmp_path / "lists"))
  monkeypatch.setattr(answering.Answerer, "answer", None)
  report = job.retrieve(work, None, "log", None, str(tmp_path / "lists"))
  assert (report.users, report.new) == (40, 0)


def test_a_damaged_list_is_written_again(work, written, tmp_path):
  output = tmp_path / "lists"
  job.retrieve(work, None, "log", None, str(output))
  before = written(output)
  (path,) = (output / "lists").iterdir()
  path.write_bytes(path.read_bytes()[:-9])
  report = job.retrieve(work, None, "log", None, str(output))
  assert report.new == 40
  assert written(output) == before


def test_lists_of_another_call_are_not_mixed(work, many, tmp_path):
  path, output = tmp_path / "histories.jsonl", str(tmp_path / "lists")
  path.write_bytes(many[0] + b"\n" + many[5])
  job.retrieve(work, None, str(path), None, output)
  for change, given, budget in (
    ("budget", str(path), "like:1"),
    ("histories, content", "log", None),
  ):
    with pytest.raises(
      ValueError, match=rf"has lists of another call \({change} differ\)"
    ):
      job.retrieve(work, None, given, budget, output)
  path.write_bytes(many[5] + b"\n" + many[0])  # It has the same size.
  with pytest.raises(ValueError, match=r"\(content differ\); use another"):
    job.retrieve(work, None, str(path), None, output)
  (tmp_path / "lists" / job.ABOUT).unlink()
  with pytest.raises(ValueError, match=r"has lists and no about\.json"):
    job.retrieve(work, None, str(path), None, output)


@pytest.mark.parametrize(
  ("histories", "budget", "more", "complaint"),
  [
    ("-", None, {}, "--output needs --histories, a file, .*histories=log"),
    ("absent/*.jsonl", None, {}, "is 'absent/.*' and there is no such file"),
    ("log", "hug:1", {}, "unknown outcome 'hug'"),
    ("log", None, {"shard_size": 257}, "is 257; use a multiple of 256"),
    ("log", None, {"options": "--workers=2"}, "workers is unknown to FnApiR"),
  ],
)
def test_a_mistake_is_named_before_any_work(
  histories, budget, more, complaint, work, tmp_path
):
  output = tmp_path / "lists"
  with pytest.raises((ValueError, FileNotFoundError), match=complaint):
    job.retrieve(work, None, histories, budget, str(output), **more)
  assert not output.exists()


def test_a_pipeline_that_fails_keeps_what_is_finished(
  work, many, tmp_path, monkeypatch
):
  path, output = tmp_path / "histories.jsonl", tmp_path / "lists"
  path.write_bytes(b"\n".join(many))
  answer = answering.Answerer.answer

  def failing(self, shard):
    if shard.name == "00000-00001":
      raise OSError("the disk is full")
    return answer(self, shard)

  with monkeypatch.context() as patch:
    patch.setattr(answering.Answerer, "answer", failing)
    with pytest.raises(OSError, match=r"the disk is full[^$]*answers the rest"):
      job.retrieve(work, None, str(path), None, str(output), shard_size=SHARD)
  left = len([*(output / "lists").iterdir()])
  report = job.retrieve(
    work, None, str(path), None, str(output), shard_size=SHARD
  )
  assert report.new == report.users + report.bad - SHARD * left
  assert left < 3 == len([*(output / "lists").iterdir()])


def test_threads_share_a_model_and_batches_have_one_size(
  work, many, tmp_path, monkeypatch
):
  path, loaded, sizes = tmp_path / "histories.jsonl", [], []
  path.write_bytes(b"\n".join(many))
  begin, answer = answering.Answerer.__init__, engine.Retriever.answer

  def counted(self, task):
    loaded.append(task)
    begin(self, task)

  def sized(self, parsed):
    sizes.append(len(parsed))
    return answer(self, parsed)

  monkeypatch.setattr(answering.Answerer, "__init__", counted)
  monkeypatch.setattr(engine.Retriever, "answer", sized)
  job.retrieve(
    work, None, str(path), None, str(tmp_path / "lists"),
    options=RUNNERS["threads"], shard_size=SHARD,
  )  # fmt: skip
  assert len(loaded) == 1
  full, rest = divmod(len(many) - 4, SHARD)
  assert sorted(sizes) == [rest, *[SHARD] * full]


def test_the_progress_is_printed(work, many, tmp_path, monkeypatch, capsys):
  path = tmp_path / "histories.jsonl"
  path.write_bytes(b"\n".join(many))
  monkeypatch.setattr(job, "PROGRESS_SECONDS", 0.01)
  report = job.retrieve(
    work, None, str(path), None, str(tmp_path / "lists"), shard_size=SHARD
  )
  lines = capsys.readouterr().err.splitlines()
  counts = [int(line.split(" of 608 users, ")[0]) for line in lines]
  assert counts == sorted(counts)
  assert counts[0] == 0
  assert {256, 512} & {*counts}
  assert "593 lists and 15 bad rows, 608 of them new in" in str(report)


def test_all_may_be_in_a_bucket(work, many, written, in_bucket, tmp_path):
  """Workers of this process see the bucket, which is in memory."""
  (tmp_path / "histories").mkdir()
  (tmp_path / "histories" / "a.jsonl").write_bytes(b"\n".join(many))
  bucket = in_bucket(tmp_path)
  call = (
    f"{bucket}/work", None, f"{bucket}/histories", None, f"{bucket}/lists",
  )  # fmt: skip
  report = job.retrieve(*call, shard_size=SHARD)
  assert (report.users, report.bad, report.new) == (593, 15, 608)
  assert job.retrieve(*call, shard_size=SHARD).new == 0
  system = fsspec.filesystem("memory")
  system.get("/bucket/lists", str(tmp_path / "copied"), recursive=True)
  path = tmp_path / "histories" / "a.jsonl"
  job.retrieve(
    work, None, str(path), None, str(tmp_path / "lists"), shard_size=SHARD
  )
  found, local = (written(tmp_path / name) for name in ("copied", "lists"))
  assert [*found.values()] == [*local.values()]
  assert {place for place, _ in found} == {f"{bucket}/histories/a.jsonl"}
