import copy

import jax
import numpy as np
import pytest

from pinrec_jax.data import histories
from pinrec_jax.index import exact, scann_index
from pinrec_jax.serve import artifact

KINDS = [
  "exact",
  pytest.param(
    "scann",
    marks=pytest.mark.skipif(
      not scann_index.available(), reason="ScaNN has Linux wheels only"
    ),
  ),
]


def found(retriever, world):
  events = [histories.latest(e, retriever.longest) for e in world.events[3:6]]
  tokens = histories.serving(events, retriever.longest)
  vectors = retriever.vectors(
    tokens,
    retriever.known[tokens.item],
    retriever.budget(),
    jax.random.key(0),
  )
  return retriever.candidates(vectors, [e.item for e in events], 7)


def load(folder, retriever, config=None):
  known, _ = artifact.read(folder)
  return artifact.load(
    folder, config or retriever.config, retriever.model, retriever.params, known
  )


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_index_gives_the_same_candidates_from_another_folder(
  world, small, untrained, tmp_path, kind
):
  small.index.kind = kind
  retriever = untrained(small)
  artifact.save(retriever, world.catalog, tmp_path / "here", step=7)
  folder = (tmp_path / "here").rename(tmp_path / "there")
  known, step = artifact.read(folder)
  assert step == 7
  assert known.vocabulary == world.vocabulary
  loaded = load(folder, retriever)
  assert type(loaded.index) is type(retriever.index)
  assert loaded.budget() == retriever.budget()
  for one, other in zip(
    found(retriever, world), found(loaded, world), strict=True
  ):
    np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(
  not scann_index.available(), reason="ScaNN has Linux wheels only"
)
def test_scann_index_can_be_searched_exactly(world, small, untrained, tmp_path):
  small.index.kind = "scann"
  retriever = untrained(small)
  artifact.save(retriever, world.catalog, tmp_path, step=1)
  config = copy.deepcopy(small)
  config.index.kind = "exact"
  assert isinstance(load(tmp_path, retriever).index, scann_index.Scann)
  assert isinstance(load(tmp_path, retriever, config).index, exact.Exact)


@pytest.mark.skipif(
  not scann_index.available(), reason="ScaNN has Linux wheels only"
)
def test_where_scann_is_missing_its_index_is_searched_exactly(
  world, small, untrained, tmp_path, monkeypatch
):
  small.index.kind = "scann"
  retriever = untrained(small)
  artifact.save(retriever, world.catalog, tmp_path, step=1)
  monkeypatch.setattr(scann_index, "available", lambda: False)
  config = copy.deepcopy(small)
  config.index.kind = "auto"
  assert isinstance(load(tmp_path, retriever, config).index, exact.Exact)
  with pytest.raises(ValueError, match=r"install scann .* or use auto"):
    load(tmp_path, retriever)


def test_scann_is_not_asked_of_an_index_without(
  world, small, untrained, tmp_path, monkeypatch
):
  small.index.kind = "exact"
  artifact.save(untrained(small), world.catalog, tmp_path, step=1)
  monkeypatch.setattr(scann_index, "available", lambda: True)
  config = copy.deepcopy(small)
  config.index.kind = "scann"
  with pytest.raises(ValueError, match="is exact; run --mode=index again"):
    load(tmp_path, untrained(small), config)


def test_missing_index_says_how_to_build_it(tmp_path):
  with pytest.raises(FileNotFoundError, match=f"{tmp_path}; run --mode=index"):
    artifact.read(tmp_path)


def test_half_written_index_is_none(
  world, small, untrained, tmp_path, monkeypatch
):
  retriever = untrained(small)
  artifact.save(retriever, world.catalog, tmp_path, step=1)

  def fail(*args):
    raise OSError("the disk is full")

  monkeypatch.setattr(np, "save", fail)
  with pytest.raises(OSError, match="full"):
    artifact.save(retriever, world.catalog, tmp_path, step=2)
  with pytest.raises(FileNotFoundError, match="no index"):
    artifact.read(tmp_path)
