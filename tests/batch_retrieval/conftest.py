"""A bundle with users, requests of many kinds, and both ways to answer them."""

import json

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

REQUESTS = 600  # Two batches and a part of a third.


@pytest.fixture
def work(small, untrained, world, tmp_path):
  """A work folder with a bundle, which has the users of `world`."""
  from pinrec_jax import indexing
  from pinrec_jax.inference import bundle

  small.index.kind = "exact"
  found = indexing.with_users(untrained(small).bundle, world)
  bundle.save(found, tmp_path / "work" / "bundles")
  return tmp_path / "work"


@pytest.fixture(scope="session")
def many():
  """Lines of requests: good ones of all kinds, bad ones and empty ones."""
  rng = np.random.default_rng(0)
  lines = []
  for number in range(REQUESTS):
    events = [
      {"item": int(item), "actions": ["click"], "time": 1_700_000_000 + n}
      for n, item in enumerate(rng.integers(100, 130, rng.integers(0, 30)))
    ]
    request = {"user": number % 50, "events": events}
    if number % 7 == 0:
      request["events"] = [*events, {"item": f"new {number}"}]
    if number % 11 == 0:
      request["budget"] = {"click": 0.5, "like": 0.5}
    if number % 13 == 0:
      request["offsets"] = [-1, 60]
    if number % 17 == 0:
      request["filters"] = {"item_types": ["AD"]}
    if number % 97 == 0:
      request["steps"] = 0
    lines.append(json.dumps(request).encode())
    if number % 150 == 0:
      lines += [b"", b"{", b'{"user": "\xff"}']
  return lines


@pytest.fixture
def local(work, capsysbinary):
  """Returns the function from a file to the answers of the local command."""
  from pinrec_jax.inference import stream

  def answers(path, budget=None):
    stream.retrieve(work, None, str(path), budget, strict=False)
    lines = capsysbinary.readouterr().out.splitlines()
    return [json.loads(line) for line in lines]

  return answers


@pytest.fixture
def written():
  """Returns the function from a folder of lists to their answers, by line."""

  def answers(output):
    found = {}
    for path in sorted((output / "lists").iterdir()):
      for row in pq.read_table(path).to_pylist():
        place = row.pop("file"), row.pop("line")
        row["budget"], row["achieved"] = (
          dict(row["budget"]), dict(row["achieved"]),
        )  # fmt: skip
        for name in ("events_dropped", "unknown_items"):
          if not row[name]:  # The local command leaves these out.
            del row[name]
        assert place not in found
        found[place] = row
    return found

  return answers


@pytest.fixture
def bad():
  """Returns the function from a folder of lists to its bad rows, by line."""

  def rows(output):
    return {
      (row["file"], row["line"]): row
      for path in sorted((output / "errors").glob("*"))
      for row in pq.read_table(path).to_pylist()
    }

  return rows


@pytest.fixture
def in_bucket(tmp_path, monkeypatch):
  """Returns the function from a folder to the address of its copy."""
  monkeypatch.setenv("PINREC_STAGING", str(tmp_path / "staging"))
  system = fsspec.filesystem("memory")
  system.store.clear()
  system.pseudo_dirs[:] = [""]

  def copied(folder):
    for path in folder.rglob("*"):
      if path.is_file():
        name = path.relative_to(folder).as_posix()
        system.pipe_file(f"/bucket/{name}", path.read_bytes())
    return "memory://bucket"

  yield copied
  system.store.clear()
  system.pseudo_dirs[:] = [""]
