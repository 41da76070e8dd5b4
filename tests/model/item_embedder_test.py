import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax.data import schema
from pinrec_jax.model import item_embedder

FEATURES = (schema.Feature("kind", 5), schema.Feature("tag", 7, slots=2))


def _features(
  rng: np.random.Generator, size: int
) -> item_embedder.ItemFeatures:
  return item_embedder.ItemFeatures(
    rows=rng.integers(0, 11, (size, 2), dtype=np.int32),
    categorical=rng.integers(0, 5, (size, 3), dtype=np.int32),
    dense=rng.normal(size=(size, 2)).astype(np.float32),
    item_type=rng.integers(0, 2, size, dtype=np.int32),
  )


@pytest.fixture
def embedder():
  return item_embedder.ItemEmbedder(
    dim=8, tables=2, rows=11, features=FEATURES, content=True
  )


def test_vectors_have_length_one(embedder):
  features = _features(np.random.default_rng(0), 20)
  vectors, _ = embedder.init_with_output(jax.random.key(0), features)
  np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-6)


def test_leading_axes_do_not_matter(embedder):
  features = _features(np.random.default_rng(0), 12)
  params = embedder.init(jax.random.key(0), features)
  flat = embedder.apply(params, features)
  folded = jax.tree.map(lambda c: c.reshape(3, 4, *c.shape[1:]), features)
  np.testing.assert_allclose(
    embedder.apply(params, folded).reshape(12, -1), flat, atol=1e-6
  )


def test_missing_slots_add_nothing(embedder):
  features = _features(np.random.default_rng(0), 6)
  params = embedder.init(jax.random.key(0), features)
  features = features._replace(categorical=np.zeros((6, 3), np.int32))
  before = embedder.apply(params, features)
  changed = jax.tree.map(lambda x: x, params)
  table = changed["params"]["feature_tag"]
  changed["params"]["feature_tag"] = table.at[0].set(100.0)
  np.testing.assert_array_equal(embedder.apply(changed, features), before)


def test_content_can_be_left_out():
  features = _features(np.random.default_rng(0), 6)
  embedder = item_embedder.ItemEmbedder(
    dim=8, tables=2, rows=11, features=FEATURES, content=False
  )
  params = embedder.init(jax.random.key(0), features)
  other = features._replace(categorical=(features.categorical + 1) % 5)
  np.testing.assert_array_equal(
    embedder.apply(params, features), embedder.apply(params, other)
  )


def test_hashes_are_stable_and_independent():
  rows = item_embedder.hashed_rows(["a", "b", 7, "7"], tables=2, rows=1 << 20)
  # Values of the first release: another result would orphan every checkpoint.
  np.testing.assert_array_equal(
    rows, item_embedder.hashed_rows(["a", "b", "7", 7], 2, 1 << 20)
  )
  assert rows[2].tolist() == rows[3].tolist()  # an id is its text
  assert rows[0, 0] != rows[0, 1]


def test_two_tables_tell_apart_what_one_confuses():
  rows = item_embedder.hashed_rows(range(2000), tables=2, rows=256)
  assert len({tuple(r) for r in rows.tolist()}) > 1900
  assert len(set(rows[:, 0].tolist())) <= 256


def test_unit_of_nothing_is_finite():
  assert jnp.isfinite(item_embedder.unit(jnp.zeros((2, 3)))).all()


def test_an_embedder_for_each_type_leaves_the_others_alone():
  features = _features(np.random.default_rng(0), 12)
  embedder = item_embedder.ItemEmbedder(
    dim=8, tables=2, rows=11, features=FEATURES, content=True, towers=2
  )
  params = embedder.init(jax.random.key(0), features)["params"]
  before = embedder.bind({"params": params})(features)
  changed = {**params, "out_1": jax.tree.map(lambda x: x + 1, params["out_1"])}
  after = embedder.bind({"params": changed})(features)
  moved = np.abs(after - before).max(-1) > 1e-3
  np.testing.assert_array_equal(moved, features.item_type == 1)


def test_one_embedder_reads_every_type_alike(embedder):
  features = _features(np.random.default_rng(0), 12)
  params = embedder.init(jax.random.key(0), features)
  other = features._replace(item_type=1 - features.item_type)
  np.testing.assert_array_equal(
    embedder.apply(params, features), embedder.apply(params, other)
  )


def test_a_hidden_id_leaves_the_content(embedder):
  features = _features(np.random.default_rng(0), 12)
  params = embedder.init(jax.random.key(0), features)
  hidden = np.arange(12) % 3 == 0
  vectors = embedder.bind(params)(features.hide(hidden))
  other = features._replace(rows=(features.rows + 1) % 11)
  others = embedder.bind(params)(other.hide(hidden))
  same = np.abs(vectors - others).max(-1) < 1e-6
  np.testing.assert_array_equal(same, hidden)
