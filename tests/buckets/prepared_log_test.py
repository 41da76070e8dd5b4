"""Prepared logs in a bucket: whole, damaged, and uploaded in part."""

import pytest

from pinrec_jax.data import dataset, kept, store
from pinrec_jax.training import training_data


def fail(*_, **__):
  """Stands for a network that is gone."""
  raise TimeoutError("no route to host")


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
  (events,) = machine("first").rglob(f"{store.FOLDER}")
  for name in (training_data.FOLDER, kept.FOLDER):
    (events.parent / name).mkdir()
    (events.parent / name / "made").write_text("of the log")
  found = dataset.load(config)
  assert bucket.glob(f"/b/prepared/*/*/*/{store.MANIFEST}")
  assert not [name for name in bucket.find("/b") if name.endswith("made")]
  assert found.folder.is_relative_to(machine("first"))


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
