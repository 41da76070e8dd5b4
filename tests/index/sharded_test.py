"""Search in vectors that several devices hold finds what one device finds."""

import gc
import time
from concurrent import futures

import jax
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.index import build, exact, filtered_search, sharded

# All factorizations of eight devices into the axes data and model.
MODEL_AXES = (1, 2, 4, 8)


def _index(vectors, model=1, recall=1.0):
  return sharded.Sharded(vectors, recall, sharding.device_mesh(model))


def _whole(rng, *shape):
  """Vectors of small whole numbers, so that scores are exact and often tie."""
  return rng.integers(-2, 3, size=shape).astype(np.float32)


def _assert_equal(index, vectors, query, k):
  found, expected = (
    index.search(query, k),
    exact.Exact(vectors).search(query, k),
  )
  for one, other in zip(found, expected, strict=True):
    np.testing.assert_array_equal(one, other)
    assert one.dtype == other.dtype


@pytest.mark.parametrize("model", MODEL_AXES)
def test_every_mesh_finds_what_one_device_finds(model, monkeypatch):
  """Scores tie within blocks of a device, and across blocks and devices."""
  monkeypatch.setattr(sharded, "BLOCK", 16)
  rng = np.random.default_rng(0)
  vectors, query = _whole(rng, 501, 4), _whole(rng, 3, 4)
  gc.collect()
  before = sum(x.nbytes for x in jax.live_arrays())
  index = _index(vectors, model)
  # Each device holds its part of the vectors and of a mask, and no more.
  made = sum(x.nbytes for x in jax.live_arrays()) - before
  assert made == 512 * (4 * 4 + 1)
  held = [shard.data.nbytes for shard in index._vectors.addressable_shards]
  assert held == [64 * 4 * 4] * 8
  scores = exact.Exact(vectors).search(query, 40)[1]
  assert (np.diff(scores, axis=1) == 0).sum() > 60
  _assert_equal(index, vectors, query, 40)


@pytest.mark.parametrize(
  ("items", "k"), [(0, 3), (1, 3), (7, 7), (8, 3), (9, 20), (27, 27), (64, 9)]
)
def test_padding_is_never_found(items, k):
  """Every score is negative, so padding of zeros would be the nearest."""
  rng = np.random.default_rng(items)
  vectors = -np.abs(rng.normal(size=(items, 4))).astype(np.float32)
  query = np.abs(rng.normal(size=(2, 4))).astype(np.float32)
  row, score = _index(vectors).search(query, k)
  assert row.shape == score.shape == (2, k)
  found = min(items, k)
  expected = np.argsort(-(query @ vectors.T), axis=1)[:, :k]
  np.testing.assert_array_equal(row[:, :found], expected)
  assert (row[:, found:] == -1).all()
  assert np.isneginf(score[:, found:]).all()


@pytest.mark.parametrize("recall", [1.0, 0.9])
def test_an_allowed_row_is_found_and_no_other(recall):
  """At a recall below 1, a CPU computes what a TPU approximates."""
  rng = np.random.default_rng(0)
  vectors, query = _whole(rng, 100, 4), _whole(rng, 3, 4)
  allowed = rng.random(100) < 0.1
  index = _index(vectors, recall=recall)
  assert index.exact == (recall == 1)
  row, score = index.search(query, 20, allowed)
  places = np.flatnonzero(allowed)
  one, expected = exact.Exact(vectors[allowed]).search(query, 20)
  np.testing.assert_array_equal(row, np.where(one < 0, -1, places[one]))
  np.testing.assert_array_equal(score, expected)


@pytest.mark.parametrize("filtered", [False, True])
def test_changed_items_and_filters_give_the_lists_of_the_exact_index(filtered):
  rng = np.random.default_rng(0)
  vectors, query = _whole(rng, 60, 4), _whole(rng, 3, 4)
  allowed = rng.random(60) < (0.1 if filtered else 0.9)
  lists = [
    filtered_search.search(
      index, 50, lambda places: vectors[places], allowed, query, 9,
      filtered=filtered,
    )
    for index in (exact.Exact(vectors[:50]), _index(vectors[:50]))
  ]  # fmt: skip
  assert lists[0].exact
  assert lists[1].exact
  np.testing.assert_array_equal(lists[0].score, lists[1].score)
  for place, other in zip(lists[0].place, lists[1].place, strict=True):
    assert allowed[other[other >= 0]].all()
    if not filtered:  # NumPy breaks the ties of few items as it likes.
      np.testing.assert_array_equal(place, other)


def test_queries_stay_on_the_device():
  """A search is one program with the one that made its queries."""
  rng = np.random.default_rng(0)
  vectors, query = _whole(rng, 50, 4), _whole(rng, 4, 4)
  index = _index(vectors, 2)

  @jax.jit
  def both(query):
    return sharded.nearest(
      index._vectors, index._there, -query, mesh=index._mesh, k=8, recall=1.0
    )

  expected = exact.Exact(vectors).search(-query, 8)
  for one, other in zip(both(query), expected, strict=True):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["auto", "exact", "sharded"])
def test_a_vector_that_is_not_finite_is_refused(kind, bad):
  vectors = np.ones((5, 4), np.float32)
  vectors[3, 1] = bad
  with pytest.raises(ValueError, match="vector 3 of 5 candidates has NaN"):
    build.build(config_lib.Index(kind=kind), vectors)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_query_that_is_not_finite_is_refused(bad):
  index = _index(np.ones((5, 4), np.float32))
  with pytest.raises(ValueError, match="a query has NaN or infinity"):
    index.search(np.array([[1, 0, 0, 0], [0, bad, 0, 0]], np.float32), 2)


def test_a_tpu_searches_approximately_and_others_exactly(monkeypatch):
  config = config_lib.Index(kind="sharded", min_recall=0.95)
  vectors = np.eye(4, dtype=np.float32)
  assert build.build(config, vectors).exact
  monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
  assert not build.build(config, vectors).exact
  config.min_recall = 0.0
  with pytest.raises(ValueError, match="min_recall is 0"):
    build.build(config, vectors)


def test_one_search_runs_at_a_time(monkeypatch):
  """Also of two indexes, as when the server changes its bundle."""
  rng = np.random.default_rng(0)
  vectors, query = _whole(rng, 40, 4), _whole(rng, 2, 4)
  nearest, running, most = sharded.nearest, [], []

  def watched(*arrays, **kinds):
    running.append(1)
    most.append(len(running))
    time.sleep(0.02)
    found = nearest(*arrays, **kinds)
    running.pop()
    return found

  monkeypatch.setattr(sharded, "nearest", watched)
  with futures.ThreadPoolExecutor(2) as pool:
    list(pool.map(lambda v: _index(v).search(query, 4), [vectors, -vectors]))
  assert most == [1, 1]
