"""What becomes of a work folder in a bucket when something goes wrong."""

import httpx
import pytest

import pinrec_jax
from pinrec_jax import cli, files, workflows
from pinrec_jax import config as config_lib
from pinrec_jax.buckets import mirror, objects
from pinrec_jax.training import errors

RUN = "memory://b/run"


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
