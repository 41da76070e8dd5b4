"""A bundle is whole, checked byte by byte, and needs no training code."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import pinrec_jax
from pinrec_jax import files
from pinrec_jax.index import exact, scann_index
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import bundle_folders, engine

needs_scann = pytest.mark.skipif(
  not scann_index.available(), reason="ScaNN has Linux wheels only"
)
KINDS = ["exact", pytest.param("scann", marks=needs_scann)]
REQUESTS = [
  {"user": "a", "events": [{"item": 100}, {"item": 105}]},
  {"user": "b", "budget": "save:1", "surface": "search", "steps": 3},
  {"user": "c", "events": [{"item": "new", "features": {"tag": "t1"}}]},
]


def answered(retriever):
  """Returns the candidates of three requests."""
  return [a["candidates"] for a in retriever.retrieve(REQUESTS)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_bundle_gives_the_same_answers_from_another_folder(
  small, untrained, saved, tmp_path, kind
):
  folder = saved(kind).rename(tmp_path / "elsewhere")
  retriever = untrained(small)
  loaded = engine.Retriever.load(folder)
  assert answered(loaded) == answered(retriever)
  one, other = retriever.bundle, loaded.bundle
  assert type(one.index) is type(other.index)
  assert one.vocabulary == other.vocabulary
  assert one.config == other.config
  np.testing.assert_array_equal(one.vectors, other.vectors)
  for name, column in one.features._asdict().items():
    np.testing.assert_array_equal(column, getattr(other.features, name))
  np.testing.assert_array_equal(one.outcome_fractions, other.outcome_fractions)


@pytest.mark.parametrize("text", [False, True], ids=["numbers", "names"])
def test_ids_of_items_come_back_with_their_type(
  small, untrained, tmp_path, text
):
  bundle = untrained(small).bundle
  items = bundle.catalog.items
  if text:
    ids = np.array([f"é {key}" for key in items.ids.tolist()], object)
    items = items._replace(ids=ids)
  catalog = dataclasses.replace(bundle.catalog, items=items)
  bundle = dataclasses.replace(bundle, catalog=catalog)
  loaded = bundle_lib.load(bundle_lib.save(bundle, tmp_path))
  assert loaded.catalog.items.ids[1:].tolist() == items.ids[1:].tolist()


def test_a_work_folder_leads_to_the_current_bundle(saved, tmp_path):
  place = saved()
  for path in (tmp_path, tmp_path / "bundles", place):
    assert bundle_folders.find(path) == place
  version = bundle_lib.load(tmp_path).provenance.version
  assert version == place.name
  assert (tmp_path / "bundles" / "current").read_text() == f"{version}\n"
  assert engine.Retriever.load(str(tmp_path)).bundle.provenance.step == 0


def test_an_unchanged_bundle_is_written_once(saved, tmp_path):
  assert saved() == saved()
  assert bundle_folders.versions(tmp_path / "bundles") == [saved().name]
  assert {p.name for p in (tmp_path / "bundles").iterdir()} == {
    "current", saved().name,
  }  # fmt: skip


def test_an_older_bundle_can_be_made_current_again(small, saved, tmp_path):
  older = saved()
  small.decode.candidates = 6
  newer = saved()
  folder = tmp_path / "bundles"
  assert bundle_lib.load(folder).provenance.version == newer.name
  bundle_folders.set_current(folder, older.name)
  loaded = bundle_lib.load(folder)
  assert loaded.provenance.version == older.name
  assert loaded.config.decode.candidates == 5
  with pytest.raises(FileNotFoundError, match=f"'x'.*{older.name}") as error:
    bundle_folders.set_current(folder, "x")
  assert newer.name in str(error.value)
  (folder / "current").write_bytes(b"\xff../../x")
  with pytest.raises(ValueError, match=r"current names the bundle .*x', which"):
    bundle_lib.load(folder)


def _flipped(path, place):
  """Changes one bit of a file, or writes into an empty one.

  Returns:
    The former content.
  """
  content = path.read_bytes()
  if not content:
    path.write_bytes(b"x")
    return content
  place = int(place * (len(content) - 1))
  changed = content[place] ^ 1
  path.write_bytes(content[:place] + bytes([changed]) + content[place + 1 :])
  return content


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_any_file_is_noticed_and_named(saved, kind):
  folder = saved(kind)
  every = [p for p in folder.rglob("*") if p.is_file()]
  names = {p.relative_to(folder).as_posix() for p in every}
  assert {
    "config.json", "params.safetensors", "vectors.npy", "hash_rows.npy",
    "catalog/items.parquet", "catalog/names.json", "manifest.json",
    "manifest.xxh3",
  } <= names  # fmt: skip
  for path in every:
    for place in (0, 0.5, 1):
      content = _flipped(path, place)
      # The last byte of the digest's file is only the end of its line.
      if content.strip() != path.read_bytes().strip():
        with pytest.raises(ValueError, match=f"{path.name}.*--mode=index"):
          bundle_lib.load(folder)
      path.write_bytes(content)
  for path in every:
    content = path.read_bytes()
    path.unlink()
    missing = f"{path.name}|there is no bundle"
    with pytest.raises((ValueError, FileNotFoundError), match=missing):
      bundle_lib.load(folder)
    path.write_bytes(content)
  bundle_lib.load(folder)


def test_another_format_is_refused_in_one_sentence(saved):
  folder = saved()
  path = folder / "manifest.json"
  files.write_json(path, files.read_json(path) | {"format": 7})
  files.write(folder / "manifest.xxh3", files.digest(path))
  with pytest.raises(ValueError, match="bundle format 7, and this version"):
    bundle_lib.load(folder)


def test_there_is_no_pickle(saved, monkeypatch):
  import pickle

  def fail(*_, **__):
    raise AssertionError("a pickle was read")

  folder = saved()
  for name in ("load", "loads", "Unpickler"):
    monkeypatch.setattr(pickle, name, fail)
  bundle_lib.load(folder)
  for path in folder.glob("*.npy"):
    np.load(path, allow_pickle=False)


def test_the_manifest_says_what_wrote_the_bundle(saved):
  import jax

  manifest = json.loads((saved() / "manifest.json").read_text())
  assert manifest["libraries"]["jax"] == jax.__version__
  assert set(manifest["libraries"]) == {*bundle_lib.LIBRARIES}
  assert sum(manifest["outcome_fractions"]) == pytest.approx(1)


@needs_scann
def test_a_scann_index_can_be_searched_exactly(saved):
  folder = saved("scann")
  assert isinstance(bundle_lib.load(folder).index, scann_index.Scann)
  for kind in ("exact", "sharded"):
    found = bundle_lib.load(folder, **{"index.kind": kind})
    assert found.index.kind == kind


@needs_scann
def test_exact_search_serves_where_scann_is_not_installed(saved, monkeypatch):
  folder = saved("scann")
  monkeypatch.setattr(scann_index, "available", lambda: False)
  found = bundle_lib.load(folder, **{"index.kind": "auto"})
  assert isinstance(found.index, exact.Exact)
  with pytest.raises(ValueError, match="install scann"):
    bundle_lib.load(folder)


def test_scann_needs_a_bundle_that_was_written_with_it(saved, monkeypatch):
  folder = saved()
  monkeypatch.setattr(scann_index, "available", lambda: True)
  with pytest.raises(ValueError, match=r"without ScaNN; .* --mode=index"):
    bundle_lib.load(folder, **{"index.kind": "scann"})


@pytest.mark.parametrize(
  ("changes", "error", "message"),
  [
    ({"decode.candidates": 0}, ValueError, "config.decode.candidates is 0"),
    ({"decode.offsets": (-5,)}, ValueError, r"config.decode.offsets is \(-5,"),
    ({"model.dropout": 0.5}, ValueError, "model.dropout is fixed by training"),
    ({"sequence_length": 8}, ValueError, "sequence_length is fixed"),
    ({"decode.pace": 3}, AttributeError, "pace"),
  ],
)
def test_a_bad_change_is_named(saved, changes, error, message):
  with pytest.raises(error, match=message):
    bundle_lib.load(saved(), **changes)


def test_changed_fields_are_used(saved):
  changes = {"decode.candidates": 3, "index.filter_seen": "nothing"}
  found = engine.Retriever.load(saved(), **changes)
  assert [len(own) for own in answered(found)] == [3, 3, 3]


def test_auto_keeps_what_the_bundle_leaves_out(saved):
  found = bundle_lib.load(saved(), **{"index.filter_seen": "auto"})
  assert found.config.index.filter_seen == "engagements"


def test_a_bundle_never_has_an_open_filter(small, untrained):
  small.index.filter_seen = "auto"
  with pytest.raises(ValueError, match="filter_seen is 'auto'; resolve it"):
    untrained(small)


def test_a_missing_bundle_says_how_to_write_one(tmp_path):
  with pytest.raises(FileNotFoundError, match=f"{tmp_path}; run --mode=index"):
    bundle_lib.load(tmp_path)


def test_a_bundle_that_was_not_finished_is_no_bundle(
  saved, tmp_path, monkeypatch
):
  older = saved()

  def fail(*_):
    raise OSError("the disk is full")

  with monkeypatch.context() as patched:
    patched.setattr(np, "save", fail)
    with pytest.raises(OSError, match="full"):
      saved()
  assert bundle_folders.versions(tmp_path / "bundles") == [older.name]
  assert bundle_lib.load(tmp_path).provenance.version == older.name
  assert not [p for p in older.parent.iterdir() if p.name.startswith(".")]


def _alone(code, *arguments):
  """Runs code in a process with one device, as a user's would have."""
  env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  env["PYTHONPATH"] = str(pathlib.Path(pinrec_jax.__file__).parent.parent)
  done = subprocess.run(
    [sys.executable, "-c", code, *map(str, arguments)],
    capture_output=True,
    text=True,
    env=env,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


ANSWER = """
import json, sys
from pinrec_jax.inference import engine
retriever = engine.Retriever.load(sys.argv[1])
found = list(retriever.retrieve(json.loads(sys.argv[2])))
"""


def test_serving_imports_no_training_code(saved):
  code = ANSWER + "print(json.dumps([*sys.modules]))"
  loaded = _alone(code, saved(), json.dumps(REQUESTS))
  heavy = {
    "grain", "matplotlib", "optax", "orbax", "scipy", "tensorboardX",
    "tensorflow", "tensorflow_datasets", "tqdm",
  }  # fmt: skip
  assert not heavy & {*loaded}
  rooms = {"pinrec_jax.training", "pinrec_jax.evals", "pinrec_jax.losses"}
  assert not rooms & {*loaded}


@pytest.mark.slow
def test_a_model_trained_along_a_model_axis_serves_on_one_device(
  world, brief, tmp_path
):
  from pinrec_jax import workflows

  config = brief
  config.train.model_axis = 2
  config.decode.candidates = 4
  config.evals.sweep = ()
  workflows.train(config, tmp_path, world)
  _, retriever = workflows.build_index(config, tmp_path, world)
  code = ANSWER + "print(json.dumps([a['candidates'] for a in found]))"
  found = _alone(code, tmp_path, json.dumps(REQUESTS))
  for one, other in zip(found, answered(retriever), strict=True):
    assert [c["item"] for c in one] == [c["item"] for c in other]
    for a, b in zip(one, other, strict=True):
      assert a["score"] == pytest.approx(b["score"], abs=1e-4)


def test_a_bundle_is_loaded_in_parts(saved):
  rests = []
  bundle_lib.load(saved(), lambda: rests.append(None))
  assert len(rests) >= 4
