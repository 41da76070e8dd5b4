"""What becomes of a work folder in a bucket when something goes wrong."""

import httpx
import pytest

import pinrec_jax
from pinrec_jax import cli, files, workflows
from pinrec_jax import config as config_lib
from pinrec_jax.buckets import mirror, objects, work_folder
from pinrec_jax.training import errors

RUN = "memory://b/run"


def train(steps, *, before=lambda step: None):
  """Stands for a training that saves a checkpoint at each step."""
  with work_folder.opened(RUN) as folder, work_folder.claimed(folder):
    for step in steps:
      before(step)
      files.write(folder / "checkpoints" / str(step) / "digests.json", "{}")
      work_folder.saved(folder, lambda: None)
      for thread in work_folder._trained[folder]._threads:
        thread.join()


def saved(bucket):
  """Returns the steps in the bucket."""
  found = bucket.glob("/b/run/checkpoints/*/digests.json")
  return [int(name.split("/")[-2]) for name in found]


def fail(*_, **__):
  """Stands for a network that is gone."""
  raise TimeoutError("no route to host")


def test_a_checkpoint_is_uploaded_when_it_was_saved(bucket, machine):
  seen = []
  train([1, 2, 3], before=lambda _: seen.append(saved(bucket)))
  assert seen == [[], [1], [1, 2]]
  assert saved(bucket) == [1, 2, 3]


def test_a_training_goes_on_without_the_network(
  bucket, machine, monkeypatch, capsys
):
  seen = []

  def before(step):
    seen.append(saved(bucket))
    patch.undo()
    if step < 3:
      patch.setattr(type(bucket), "put_file", fail)

  with monkeypatch.context() as patch:
    train([1, 2, 3, 4], before=before)
  assert seen == [[], [], [], [1, 2, 3]]
  said = capsys.readouterr().err
  assert said.count("The next checkpoint is uploaded with this one") == 2
  assert "not uploaded: memory://b/run cannot be used (TimeoutError: no" in said


def test_the_same_command_uploads_what_is_left(bucket, machine, monkeypatch):
  with monkeypatch.context() as patch:
    message = "memory://b/run cannot be used .* the same command continues"
    with pytest.raises(ConnectionError, match=message):
      train(
        [1, 2],
        before=lambda _: patch.setattr(type(bucket), "put_file", fail),
      )
  assert saved(bucket) == []
  train([])
  assert saved(bucket) == [1, 2]


def test_a_training_that_was_taken_over_stops(bucket, machine):
  """It uploads nothing more, and its local copy stays."""
  steps = []

  def before(step):
    steps.append(step)
    if step == 2:
      machine("second")
      mirror.Mirror(RUN).claim()
      machine("first")

  with pytest.raises(mirror.TakenOverError, match=r"used by process \d+ on .*"):
    train([1, 2, 3, 4], before=before)
  assert steps == [1, 2, 3]
  assert saved(bucket) == [1]
  copy = machine("first") / "memory" / "b" / "run" / "checkpoints"
  assert {path.name for path in copy.iterdir()} == {"1", "2", "3"}


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


def test_a_stopped_training_that_was_taken_over_says_so(
  tiny, bucket, machine, monkeypatch
):
  def stopped(config, dataset, workdir):
    machine("second")
    mirror.Mirror(RUN).claim()
    machine("first")
    files.write(workdir / "note", "x")
    raise errors.RunStoppedError("stopped")

  monkeypatch.setattr(workflows.loop, "train", stopped)
  with pytest.raises(mirror.TakenOverError, match="so this process stops"):
    workflows.train(tiny("memory://b/prepared"), RUN)
  assert not bucket.exists("/b/run/note")


def test_several_processes_are_refused(tiny, monkeypatch, tmp_path):
  monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
  with pytest.raises(ValueError, match=r"JAX_NUM_PROCESSES is 2; .* mount the"):
    workflows.train(tiny(tmp_path), "gs://bucket/run")


def test_a_bad_field_is_named_before_anything_is_downloaded(
  tiny, bucket, machine, monkeypatch, tmp_path
):
  monkeypatch.setattr(objects.Objects, "list", None)
  config = config_lib.replace(tiny(tmp_path), **{"train.batch_size": -1})
  for call in (workflows.evaluate, lambda *a: cli.run("evaluate", *a)):
    with pytest.raises(ValueError, match=r"config.train.batch_size is -1"):
      call(config, RUN)


def test_a_missing_bundle_is_named(bucket, machine):
  with pytest.raises(FileNotFoundError, match=r"no bundle in .*/memory/b/run"):
    pinrec_jax.Retriever.load(RUN)


def test_a_missing_bucket_is_named(endpoint, tiny):
  config = tiny("s3://bucket/prepared")
  message = "s3://none/run cannot be used .* create the bucket, or correct the"
  with pytest.raises(FileNotFoundError, match=message):
    pinrec_jax.train(config, "s3://none/run")


def test_wrong_credentials_are_named(endpoint, tiny, monkeypatch, forget_s3):
  httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"0")
  message = "s3://bucket/run.* cannot be used .* set credentials that may"
  with pytest.raises(PermissionError, match=message):
    pinrec_jax.train(tiny("s3://bucket/prepared"), "s3://bucket/run")
  for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    monkeypatch.delenv(name)
  monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
  monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
  forget_s3()
  with pytest.raises(PermissionError, match=message):
    pinrec_jax.train(tiny("s3://bucket/prepared"), "s3://bucket/run")
