import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.index import build, exact, scann_index


@pytest.mark.parametrize("queries", [1, 7, 8, 21])
def test_neighbours_equal_those_of_numpy(queries):
  rng = np.random.default_rng(queries)
  vectors = rng.normal(size=(50, 6)).astype(np.float32)
  query = rng.normal(size=(queries, 6)).astype(np.float32)
  row, score = exact.Exact(vectors, chunk=8).search(query, 9)
  scores = query @ vectors.T
  expected = np.argsort(-scores, axis=-1)[:, :9]
  np.testing.assert_array_equal(row, expected)
  np.testing.assert_allclose(
    score, np.take_along_axis(scores, expected, -1), rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize("kind", ["exact", "scann"])
def test_a_missing_neighbour_is_marked_and_never_a_row(kind):
  if kind == "scann" and not scann_index.available():
    pytest.skip("ScaNN has Linux wheels only")
  vectors = np.eye(4, dtype=np.float32)
  index = build.build(config_lib.Index(kind=kind), vectors)
  row, score = index.search(vectors[:2], 9)
  assert row.shape == score.shape == (2, 9)
  np.testing.assert_array_equal(np.sort(row[:, :4]), [range(4)] * 2)
  assert (row[:, 4:] == -1).all()
  assert (score[:, 4:] == -np.inf).all()


def test_auto_is_scann_where_it_is_installed(monkeypatch):
  vectors, config = np.eye(4, dtype=np.float32), config_lib.Index(kind="auto")
  if scann_index.available():
    assert isinstance(build.build(config, vectors), scann_index.Scann)
  monkeypatch.setattr(scann_index, "available", lambda: False)
  assert isinstance(build.build(config, vectors), exact.Exact)
  with pytest.raises(ValueError, match="kind is 'scann', and ScaNN cannot be"):
    scann_index.require("scann")
  scann_index.require("auto")
