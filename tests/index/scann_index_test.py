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
  """Returns unit vectors about fifty centres."""
  centre = np.random.default_rng(0).normal(size=(50, 32))
  rng = np.random.default_rng(seed)
  x = centre[rng.integers(0, 50, size)] + 0.5 * rng.normal(size=(size, 32))
  return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("size", [3_000, 15_000], ids=["exhaustive", "tree"])
def test_neighbours_are_nearly_those_of_the_exact_index(size):
  assert (size < scann_index.TREE_FROM) == (size == 3_000)
  vectors, query = clustered(size, 1), clustered(64, 2)
  row, score = scann_index.Scann(vectors).search(query, 100)
  truth, _ = exact.Exact(vectors).search(query, 100)
  assert metrics.overlap(row, truth).mean() >= 0.98
  # Scores are true inner products, also where the search was quantised.
  np.testing.assert_allclose(
    score, np.einsum("qd,qkd->qk", query, vectors[row]), atol=1e-5
  )
  assert (np.diff(score) <= 0).all()


def test_recall_asked_for_is_found_and_no_more_is_searched():
  vectors, query = clustered(15_000, 1), clustered(256, 2)
  truth, _ = exact.Exact(vectors).search(query, 100)
  leaves = []
  # Each builds a tree of its own, by chance.
  for recall in (0.7, 0.9, 0.99):
    index = scann_index.Scann(vectors, recall)
    row, _ = index.search(query, 100)
    # Queries here lie elsewhere than those that the effort was found by.
    assert metrics.overlap(row, truth).mean() >= recall - 0.01
    assert index.effort
    leaves.append(index.effort.leaves)
  assert leaves == sorted(set(leaves))
  assert leaves[-1] < index.effort.every / 2


def test_leaves_that_hold_too_few_are_followed_by_more():
  vectors = clustered(12_000, 1)
  index = scann_index.Scann(vectors, 0.5)
  assert index.effort
  # A leaf holds some 27.
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
def test_saved_index_finds_the_same_from_another_folder(size, tmp_path):
  vectors, query = clustered(size, 1), clustered(8, 2)
  index = scann_index.Scann(vectors)
  index.save(tmp_path / "here" / "index")
  (tmp_path / "here").rename(tmp_path / "there")
  loaded = scann_index.Scann.load(tmp_path / "there" / "index")
  for one, other in zip(
    index.search(query, 10), loaded.search(query, 10), strict=True
  ):
    np.testing.assert_array_equal(one, other)


def test_index_of_an_earlier_version_says_what_to_do(tmp_path):
  scann_index.Scann(clustered(100, 1)).save(tmp_path)
  (tmp_path / scann_index.EFFORT).unlink()
  with pytest.raises(FileNotFoundError, match="run --mode=index again"):
    scann_index.Scann.load(tmp_path)


def test_a_clashing_tensorflow_is_never_imported(tmp_path):
  # ScaNN alone would import this one, and fail.
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
