import numpy as np
import pytest

from pinrec_jax.losses import sketch


@pytest.fixture(scope="module")
def stream():
  rng = np.random.default_rng(0)
  return rng.zipf(1.3, 20_000).astype(np.int64) % 5000 + 1


def test_the_error_stays_within_its_bound(stream):
  columns, rows = 512, 4
  counted = sketch.empty(rows, columns)
  for part in np.split(stream, 10):
    counted = counted.add(part.astype(np.int32))
  truth = np.bincount(stream, minlength=5001) / stream.size
  items = np.arange(1, 5001, dtype=np.int32)
  excess = np.asarray(counted.share(items)) - truth[1:]
  assert excess.min() > -1e-6  # never too low
  beyond = (excess > np.e / columns).mean()
  assert beyond <= np.exp(-rows)
  assert excess.max() > 0  # narrow enough for collisions to show


def test_wide_enough_it_is_exact(stream):
  few = stream % 40 + 1
  counted = sketch.empty(4, 4096).add(few.astype(np.int32))
  truth = np.bincount(few, minlength=41) / few.size
  got = counted.share(np.arange(1, 41, dtype=np.int32))
  np.testing.assert_allclose(got, truth[1:], rtol=1e-6)


def test_no_item_is_not_counted():
  counted = sketch.empty(2, 64).add(np.array([0, 0, 7, 7, 9]))
  np.testing.assert_allclose(counted.share(np.array([7, 9])), [2 / 3, 1 / 3])


def test_old_counts_fade():
  old = sketch.empty(2, 64).add(np.full(100, 3))
  new = old.add(np.full(100, 5), keep=0.0)
  np.testing.assert_allclose(new.share(np.array([3, 5])), [0, 1])
