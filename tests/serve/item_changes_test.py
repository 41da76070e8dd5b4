"""Changed items meet bundles that may not know all of their features."""

import msgspec
import numpy as np
import pytest

from pinrec_jax.inference import engine
from pinrec_jax.serve import item_changes, messages, stores


@pytest.fixture(scope="module")
def retriever(untrained_once):
  return engine.Retriever(untrained_once(True, 0))


def state(bundle="", **fields):
  return item_changes.ItemState(item=messages.NewItem(**fields), bundle=bundle)


def vector_of(retriever, item, given):
  (change,) = item_changes.embed(
    retriever, [item_changes.check(retriever, item, given)]
  )
  assert change.vector is not None
  return change.vector


def test_an_unchanged_item_of_the_bundle_keeps_its_vector(retriever):
  catalog = retriever.bundle.catalog
  row = catalog.row_of["104"]
  same = state(features={"author": ["a4"], "tag": ["t1"]}, item_type="NORMAL")
  found = vector_of(retriever, "104", same)
  np.testing.assert_allclose(found, retriever.bundle.vectors[row], atol=1e-5)
  other = state(features={"author": ["a0"], "tag": ["t1"]})
  assert np.abs(vector_of(retriever, "104", other) - found).max() > 1e-3


def test_a_vector_of_another_bundle_is_computed_again(retriever):
  vector = np.eye(16)[3].tolist()
  own = retriever.bundle.provenance.version
  given = state(own, features={"author": "a1"}, vector=vector)
  assert vector_of(retriever, "new", given).tolist() == vector
  computed = vector_of(retriever, "new", state(features={"author": "a1"}))
  given = state("another", features={"author": "a1"}, vector=vector)
  np.testing.assert_allclose(
    vector_of(retriever, "new", given), computed, atol=1e-6
  )


def test_stored_items_lose_what_a_bundle_does_not_know(retriever):
  strange = state(
    "another",
    features={"mood": "good", "tag": ["t1", "t2", "t0"], "author": "a1"},
    item_type="HOLOGRAM",
    vector=[1.0, 0.0],
  )
  plain = state(features={"tag": ["t1", "t2"], "author": "a1"})
  stored = [
    stores.Change(n, "new", msgspec.json.encode(one))
    for n, one in enumerate((strange, plain))
  ]
  first, second = item_changes.known(retriever, stored)
  np.testing.assert_array_equal(first.vector, second.vector)
  assert first.item_type == 0
  with pytest.raises(ValueError, match="HOLOGRAM"):
    item_changes.check(retriever, "new", strange)


def test_deleted_items_need_nothing(retriever):
  deleted = msgspec.json.encode(item_changes.ItemState(deleted=True))
  (change,) = item_changes.known(retriever, [stores.Change(1, "104", deleted)])
  assert change.item == "104"
  assert change.vector is None


@pytest.mark.parametrize(
  "vector", [[0.0] * 16, [1.0] * 16, [1.0] + [0.0] * 14, [float("nan")] * 16]
)
def test_bad_vectors_are_refused(retriever, vector):
  with pytest.raises(ValueError, match="vector has"):
    item_changes.check(retriever, "new", state(vector=vector))
