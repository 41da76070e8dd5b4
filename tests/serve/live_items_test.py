"""Items that change while they are searched."""

import threading

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.index import build
from pinrec_jax.inference import bundle
from pinrec_jax.model import item_embedder
from pinrec_jax.serve import item_rows, live_items

DIM = 16


def _unit(rng, *shape):
  x = rng.normal(size=shape).astype(np.float32)
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _items(vectors, kind="exact", keep=live_items.KEEP):
  size = len(vectors)
  table = pd.DataFrame(
    {
      "item": [f"i{n}" for n in range(1, size)],
      "item_type": "item",
      "color": ["red" if n % 3 else "blue" for n in range(1, size)],
      "size": "s",
    }
  )
  catalog = catalog_lib.encode(
    table, table["item"].to_numpy(), actions=("click",), outcomes=1,
    surfaces=("unknown",),
  )  # fmt: skip
  config = config_lib.Inference()
  config.index.kind = kind  # pyright: ignore[reportAttributeAccessIssue]
  return live_items.LiveItems(
    bundle.Bundle(
      config, {}, catalog,
      item_embedder.features(catalog.items, 2, 8), vectors,
      build.build(config.index, vectors[1:]), np.ones(1, np.float32),
      bundle.Provenance(0),
    ),
    keep,
  )  # fmt: skip


def _change(item, vector):
  return item_rows.Change(item, vector, own_id=item, codes=np.zeros(2, int))


def _truth(query, known, k):
  """The names of the nearest items, by brute force."""
  names, vectors = list(known), np.stack(list(known.values()))
  order = np.argsort(-(query @ vectors.T), axis=1)[:, :k]
  return [[names[n] for n in row] for row in order]


def _names(items, found):
  snapshot = items.snapshot
  return [
    [snapshot.rows.ids[snapshot.place_rows[p]] for p in row if p >= 0]
    for row in found.place
  ]


@pytest.mark.parametrize("kind", ["exact", "auto", "sharded"])
def test_search_equals_brute_force_after_random_changes(kind):
  rng = np.random.default_rng(0)
  vectors = _unit(rng, 80, DIM)
  items = _items(vectors, kind)
  known = {f"i{n}": vectors[n] for n in range(1, 80)}
  query = _unit(rng, 5, DIM)
  for turn in range(30):
    changes = []
    for _ in range(rng.integers(1, 6)):
      name = f"i{rng.integers(1, 120)}"
      if rng.random() < 0.4:
        changes.append(item_rows.Change(name, None))
        known.pop(name, None)
      else:
        vector = _unit(rng, DIM)
        changes.append(_change(name, vector))
        known[name] = vector
    items.apply(changes)
    if turn % 7 == 6:
      items.rebuild()
    found = items.snapshot.search(query, 10)
    assert _names(items, found) == _truth(query, known, 10)
    assert items.snapshot.count == len(known)
    score = np.take_along_axis(found.score, np.zeros((5, 1), int), 1)
    assert (score[:, 0] == found.score.max(1)).all()


def test_a_snapshot_never_changes():
  rng = np.random.default_rng(0)
  items = _items(_unit(rng, 20, DIM))
  query = _unit(rng, 3, DIM)
  old = items.snapshot
  before = old.search(query, 8)
  for n in range(40):
    items.apply([_change(f"new{n}", query[0])])
    items.apply([item_rows.Change(f"i{1 + n % 19}", None)])
  items.rebuild()
  after = old.search(query, 8)
  np.testing.assert_array_equal(before.place, after.place)
  np.testing.assert_array_equal(before.score, after.score)
  assert items.snapshot.count == 40


def test_changes_of_one_call_are_applied_in_order():
  rng = np.random.default_rng(0)
  items, vector = _items(_unit(rng, 10, DIM)), _unit(rng, DIM)
  items.apply([_change("a", vector), item_rows.Change("a", None)])
  assert items.snapshot.count == 9
  items.apply([item_rows.Change("i1", None), _change("i1", vector)])
  assert items.snapshot.count == 9
  found = items.snapshot.search(vector[None], 1)
  assert _names(items, found) == [["i1"]]
  assert found.score[0, 0] == pytest.approx(1, abs=1e-5)


def test_an_id_is_known_only_once_its_item_has_a_place(monkeypatch):
  rng = np.random.default_rng(0)
  items, early = _items(_unit(rng, 5, DIM)), []
  add = item_rows.Rows.add

  def watched(rows, change):
    early.extend({"a", "b"} & {*items.snapshot.row_of})
    return add(rows, change)

  monkeypatch.setattr(item_rows.Rows, "add", watched)
  items.apply([_change(name, _unit(rng, DIM)) for name in ("a", "b", "a")])
  assert not early
  snapshot = items.snapshot
  assert snapshot.count == 6
  assert all(snapshot.place(snapshot.row_of[name]) >= 0 for name in ("a", "b"))
  assert snapshot.place(snapshot.row_of.get("c")) == -1


def test_fewer_items_than_asked_for_are_filled_with_none():
  rng = np.random.default_rng(0)
  items = _items(_unit(rng, 5, DIM))
  items.apply([item_rows.Change(f"i{n}", None) for n in (1, 2)])
  found = items.snapshot.search(_unit(rng, 2, DIM), 6)
  assert (found.place >= 0).sum(1).tolist() == [2, 2]
  assert (found.place[:, 2:] == -1).all()
  assert np.isneginf(found.score[:, 2:]).all()
  items.apply([item_rows.Change(f"i{n}", None) for n in (3, 4)])
  assert (items.snapshot.search(_unit(rng, 2, DIM), 3).place == -1).all()
  items.rebuild()
  assert items.snapshot.count == 0
  assert (items.snapshot.search(_unit(rng, 2, DIM), 3).place == -1).all()


@pytest.mark.parametrize("kind", ["exact", "auto", "sharded"])
@pytest.mark.parametrize("fraction", [0.5, 0.1, 0.01, 0.001])
def test_filtered_search_finds_what_brute_force_finds(kind, fraction):
  rng = np.random.default_rng(0)
  vectors = _unit(rng, 12_001, DIM)
  items = _items(vectors, kind)
  items.apply([_change(f"new{n}", _unit(rng, DIM)) for n in range(50)])
  items.apply([item_rows.Change(f"i{n}", None) for n in range(1, 200)])
  snapshot = items.snapshot
  allowed = rng.random(len(snapshot.place_rows)) < fraction
  query = _unit(rng, 8, DIM)
  found = snapshot.search(query, 100, allowed)
  places = np.flatnonzero(allowed & snapshot.live)
  score = query @ snapshot.rows.vectors(snapshot.place_rows[places]).T
  for row, own in zip(found.place, score, strict=True):
    truth = places[np.argsort(-own)[:100]]
    got = row[row >= 0]
    assert len(got) == min(100, len(places))
    assert np.isin(truth, got).mean() >= 0.99
    assert allowed[got].all()
  assert found.exact or kind == "auto"
  assert found.exact == (kind != "auto" or fraction < 0.2)


def test_searches_go_on_while_items_change_and_the_index_is_rebuilt():
  rng = np.random.default_rng(0)
  items = _items(_unit(rng, 3_000, DIM), "auto")
  query = _unit(rng, 4, DIM)
  stop, failures, searches = threading.Event(), [], []

  def search():
    while not stop.is_set():
      try:
        found = items.snapshot.search(query, 20)
        assert (found.place >= 0).all()
        searches.append(1)
      except Exception as error:
        failures.append(error)
        return

  threads = [threading.Thread(target=search) for _ in range(2)]
  for thread in threads:
    thread.start()
  for n in range(200):
    items.apply([_change(f"new{n}", _unit(rng, DIM))])
    if n % 50 == 49:
      items.rebuild()
  stop.set()
  for thread in threads:
    thread.join()
  assert not failures
  assert len(searches) > 50


def _churn(items, names, rng, rounds=20):
  """Replaces items again and again, with rebuilds; returns their vectors."""
  known = {}
  for _ in range(rounds):
    for name in names:
      known[name] = _unit(rng, DIM)
      items.apply([_change(name, known[name])])
    items.rebuild()
  return known


def test_rows_of_replaced_items_are_used_again():
  rng = np.random.default_rng(0)
  vectors = _unit(rng, 6, DIM)
  items = _items(vectors, keep=0.0)
  known = {f"i{n}": vectors[n] for n in range(1, 6)}
  known |= _churn(items, ["a", "b", "i1"], rng)
  assert items.snapshot.rows.length <= len(vectors) + 3 * 3
  items.apply([item_rows.Change("b", None)])
  known |= _churn(items, ["a", "c"], rng)
  known.pop("b")
  query = _unit(rng, 4, DIM)
  found = items.snapshot.search(query, len(known))
  assert _names(items, found) == _truth(query, known, len(known))
  # Histories may still have the deleted item, and the bundle's own rows.
  snapshot = items.snapshot
  assert snapshot.rows.ids[snapshot.row_of["b"]] == "b"
  np.testing.assert_array_equal(snapshot.vectors(np.arange(6)), vectors)


def test_a_replaced_row_stays_for_requests_that_read_it():
  rng = np.random.default_rng(0)
  items = _items(_unit(rng, 6, DIM), keep=60.0)
  items.apply([_change("a", _unit(rng, DIM))])
  row = items.snapshot.row_of["a"]
  before = items.snapshot.vectors(np.array(row)).copy()
  _churn(items, ["a", "b"], rng)
  np.testing.assert_array_equal(items.snapshot.vectors(np.array(row)), before)
  assert items.snapshot.rows.ids[row] == "a"


def test_a_row_replaced_in_a_rebuild_waits_for_the_next(monkeypatch):
  rng = np.random.default_rng(0)
  items = _items(_unit(rng, 6, DIM), keep=0.0)
  items.apply([_change("a", _unit(rng, DIM))])
  row, real = items.snapshot.row_of["a"], build.build

  def building(config, vectors):
    monkeypatch.setattr(build, "build", real)
    items.apply([_change("a", _unit(rng, DIM))])
    return real(config, vectors)

  monkeypatch.setattr(build, "build", building)
  items.rebuild()
  items.apply([_change("b", _unit(rng, DIM))])
  assert items.snapshot.row_of["b"] != row
  items.rebuild()
  items.apply([_change("c", _unit(rng, DIM))])
  assert items.snapshot.row_of["c"] == row
