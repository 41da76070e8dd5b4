"""Buckets in memory, and machines with a local disk each."""

import fsspec
import pytest


@pytest.fixture
def bucket():
  """An empty bucket in memory: from names to content."""
  system = fsspec.filesystem("memory")
  system.store.clear()
  system.pseudo_dirs[:] = [""]
  yield system
  system.store.clear()
  system.pseudo_dirs[:] = [""]


@pytest.fixture
def machine(tmp_path, monkeypatch):
  """Returns the function that makes this process run on a named machine.

  Each machine has its own local copies of buckets.
  """

  def use(name):
    folder = tmp_path / "machines" / name
    monkeypatch.setenv("PINREC_STAGING", str(folder))
    return folder

  use("first")
  return use
