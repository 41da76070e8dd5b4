import numpy as np
import pytest

from pinrec_jax.index import exact


@pytest.mark.parametrize("queries", [1, 7, 8, 21])
def test_neighbours_are_those_of_numpy(queries):
  rng = np.random.default_rng(queries)
  vectors = rng.normal(size=(50, 6)).astype(np.float32)
  query = rng.normal(size=(queries, 6)).astype(np.float32)
  row, score = exact.Exact(vectors, chunk=8).search(query, 9)
  every = query @ vectors.T
  expected = np.argsort(-every, axis=-1)[:, :9]
  np.testing.assert_array_equal(row, expected)
  np.testing.assert_allclose(
    score, np.take_along_axis(every, expected, -1), rtol=1e-5, atol=1e-6
  )
