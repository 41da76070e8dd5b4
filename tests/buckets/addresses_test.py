import pathlib

import pytest

from pinrec_jax.buckets import addresses, objects


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    ("gs://bucket/run", True),
    (pathlib.Path("s3://bucket/run"), True),
    ("runs/here:now", False),
    ("/mnt/gs:/x", False),
    ("C:/runs", False),
    ("~/runs", False),
  ],
)
def test_an_address_has_a_scheme(text, expected):
  assert addresses.is_address(text) == expected


def test_a_copy_has_the_address_of_its_folder(machine):
  root = machine("a")
  for text in ("s3://bucket/run", pathlib.Path("s3://bucket/run")):
    assert addresses.local(text) == root / "s3" / "bucket" / "run"
  assert addresses.of(root / "s3" / "bucket" / "run") == "s3://bucket/run"
  assert addresses.name(root / "gs" / "b" / "x" / "y") == "gs://b/x/y"
  assert addresses.of(root / "gs" / "b" / "x" / ".." / "y") == "gs://b/y"
  assert not addresses.of(root)
  assert not addresses.of(root.parent)
  other = root.parent / "runs"
  assert addresses.name(other) == str(other)
  assert addresses.local(addresses.name(other)) == other


def test_a_copy_is_in_the_cache_of_the_user(monkeypatch, tmp_path):
  monkeypatch.delenv("PINREC_STAGING", raising=False)
  monkeypatch.setenv("HOME", str(tmp_path))
  expected = tmp_path / ".cache" / "pinrec_jax" / "buckets" / "s3" / "b"
  assert addresses.local("s3://b/") == expected


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("az://b/run", "'az://b/run' is an address of an unknown kind; use gs://"),
    ("https://b/run", "mount the bucket, and use the mounted folder"),
    ("s3://", "'s3://' names no folder of a bucket; use s3://BUCKET/FOLDER"),
    ("s3://b/../run", "names no folder of a bucket"),
    ("gs://b//run", "names no folder of a bucket"),
  ],
)
def test_a_bad_address_is_named(machine, text, message):
  with pytest.raises(ValueError, match=message):
    addresses.local(text)


def test_a_missing_package_names_the_extra(monkeypatch):
  def missing(*_, **__):
    raise ImportError("Install s3fs to access S3")

  objects.file_system.cache_clear()
  monkeypatch.setattr(objects.fsspec, "filesystem", missing)
  message = r"s3://b/run needs the package s3fs; .*pip install '\.\[bucket\]'"
  with pytest.raises(ValueError, match=message):
    objects.Objects("s3://b/run")


def test_an_object_that_has_no_place_on_a_disk_is_named(bucket):
  bucket.pipe_file("/b/run/x", b"")
  bucket.store["/b/run/../up"] = bucket.store["/b/run/x"]
  with pytest.raises(ValueError, match=r"memory://b/run/../up has no place"):
    objects.Objects("memory://b/run").list()
