import os
import subprocess
import sys

import numpy as np
import pytest

from pinrec_jax.evals import metrics
from pinrec_jax.index import exact, scann_index

pytestmark = pytest.mark.skipif(
  not scann_index.available(), reason="ScaNN has Linux wheels only"
)


def clustered(size, seed):
  """Returns unit vectors around fifty centres."""
  centre = np.random.default_rng(0).normal(size=(50, 32))
  rng = np.random.default_rng(seed)
  x = centre[rng.integers(0, 50, size)] + 0.5 * rng.normal(size=(size, 32))
  return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("size", [3_000, 15_000], ids=["exhaustive", "tree"])
def test_neighbours_are_close_to_those_of_the_exact_index(size):
  assert (size < scann_index.MIN_TREE_SIZE) == (size == 3_000)
  vectors, query = clustered(size, 1), clustered(64, 2)
  row, score = scann_index.Scann(vectors).search(query, 100)
  truth, _ = exact.Exact(vectors).search(query, 100)
  assert metrics.overlap(row, truth).mean() >= 0.98
  # Scores are exact inner products, also after a quantized search.
  np.testing.assert_allclose(
    score, np.einsum("qd,qkd->qk", query, vectors[row]), atol=1e-5
  )
  assert (np.diff(score) <= 0).all()


def test_the_minimum_recall_is_reached_with_the_fewest_leaves():
  vectors, query = clustered(15_000, 1), clustered(256, 2)
  truth, _ = exact.Exact(vectors).search(query, 100)
  leaves = []
  # Each index has a random tree of its own.
  for recall in (0.7, 0.9, 0.99):
    index = scann_index.Scann(vectors, recall)
    row, _ = index.search(query, 100)
    # These queries are not those with which the effort was chosen.
    assert metrics.overlap(row, truth).mean() >= recall - 0.01
    assert index.effort
    leaves.append(index.effort.leaves)
  assert leaves == sorted(set(leaves))
  assert leaves[-1] < index.effort.all_leaves / 2


def test_more_leaves_are_searched_if_they_hold_too_few_items():
  vectors = clustered(12_000, 1)
  index = scann_index.Scann(vectors, 0.5)
  assert index.effort
  # A leaf holds about 27 items.
  index.effort = index.effort._replace(leaves=1)
  for k in (100, 1000, len(vectors)):
    row, _ = index.search(vectors[:4], k)
    assert [len(set(own)) for own in row.tolist()] == [k] * 4
    assert (row >= 0).all()


def test_missing_neighbours_are_marked():
  vectors = clustered(20, 1)
  row, score = scann_index.Scann(vectors).search(vectors[:3], 30)
  assert (np.sort(row[:, :20]) == np.arange(20)).all()
  assert (row[:, 20:] == -1).all()
  assert (score[:, 20:] == -np.inf).all()


@pytest.mark.parametrize("size", [100, 15_000], ids=["exhaustive", "tree"])
def test_a_saved_index_finds_the_same_after_its_folder_has_moved(
  size, tmp_path
):
  vectors, query = clustered(size, 1), clustered(8, 2)
  index = scann_index.Scann(vectors)
  index.save(tmp_path / "here" / "index")
  (tmp_path / "here").rename(tmp_path / "there")
  loaded = scann_index.Scann.load(tmp_path / "there" / "index")
  for one, other in zip(
    index.search(query, 10), loaded.search(query, 10), strict=True
  ):
    np.testing.assert_array_equal(one, other)


def test_a_conflicting_tensorflow_is_not_imported(tmp_path):
  # ScaNN itself would import this TensorFlow and fail.
  (tmp_path / "tensorflow.py").write_text("raise RuntimeError('a clash')")
  program = (
    "import sys\n"
    "from pinrec_jax.index import scann_index\n"
    "assert scann_index.available()\n"
    "assert 'scann' in sys.modules\n"
    "assert 'tensorflow' not in sys.modules\n"
  )
  path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
  subprocess.run(
    [sys.executable, "-c", program],
    env={**os.environ, "PYTHONPATH": path},
    check=True,
  )
