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


def _embedder(*, content: bool) -> item_embedder.ItemEmbedder:
  return item_embedder.ItemEmbedder(
    embedding_dim=8,
    num_hashes=2,
    table_size=11,
    features=FEATURES,
    content=content,
  )


@pytest.fixture
def embedder():
  return _embedder(content=True)


def test_vectors_have_unit_norm(embedder):
  features = _features(np.random.default_rng(0), 20)
  vectors, _ = embedder.init_with_output(jax.random.key(0), features)
  np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-6)


def test_the_shape_of_a_batch_does_not_matter(embedder):
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


def test_without_content_the_features_are_ignored():
  features = _features(np.random.default_rng(0), 6)
  embedder = _embedder(content=False)
  params = embedder.init(jax.random.key(0), features)
  other = features._replace(categorical=(features.categorical + 1) % 5)
  np.testing.assert_array_equal(
    embedder.apply(params, features), embedder.apply(params, other)
  )


def test_an_id_has_the_same_rows_in_every_version():
  rows = item_embedder.hashed_rows(["a", "b", 7, "7"], 2, 1 << 20)
  # Other values would make every checkpoint useless.
  assert rows[:3].tolist() == [
    [756005, 339331],
    [983551, 100694],
    [1019835, 408048],
  ]
  assert rows[2].tolist() == rows[3].tolist()  # An id is hashed as text.
  assert rows[0, 0] != rows[0, 1]


def test_ids_that_collide_in_one_table_differ_in_the_other():
  rows = item_embedder.hashed_rows(range(2000), 2, 256)
  assert len({tuple(r) for r in rows.tolist()}) > 1900
  assert len(set(rows[:, 0].tolist())) <= 256


def test_the_unit_vector_of_zeros_is_finite():
  assert jnp.isfinite(item_embedder.unit(jnp.zeros((2, 3)))).all()


def test_the_item_type_does_not_change_a_vector(embedder):
  features = _features(np.random.default_rng(0), 12)
  params = embedder.init(jax.random.key(0), features)
  other = features._replace(item_type=1 - features.item_type)
  np.testing.assert_array_equal(
    embedder.apply(params, features), embedder.apply(params, other)
  )


def test_a_hidden_id_does_not_change_the_vector(embedder):
  features = _features(np.random.default_rng(0), 12)
  params = embedder.init(jax.random.key(0), features)
  hidden = np.arange(12) % 3 == 0
  vectors = embedder.bind(params)(features.hide(hidden))
  other = features._replace(rows=(features.rows + 1) % 11)
  others = embedder.bind(params)(other.hide(hidden))
  same = np.abs(vectors - others).max(-1) < 1e-6
  np.testing.assert_array_equal(same, hidden)
