import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinrec_jax.data import counts


@given(
  st.lists(st.lists(st.integers(-50, 10**12), max_size=20), max_size=5),
  st.lists(st.floats(0, 100), min_size=1, max_size=5),
)
def test_counts_are_those_of_all_values(parts, percents):
  values = np.array([v for part in parts for v in part], np.int64)
  found, added = counts.Counts(), counts.Counts()
  for part in parts:
    found.add(np.array(part, np.int64))
    added += counts.Counts(np.array(part, np.int64))
  for one in (found, added, pickle.loads(pickle.dumps(found))):
    expected, times = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(one.values, expected)
    np.testing.assert_array_equal(one.counts, times)
    assert one.total == len(values)
    if len(values):
      assert one.mean == pytest.approx(values.mean())
      np.testing.assert_allclose(
        one.percentiles(percents), np.percentile(values, percents)
      )


def test_what_waits_is_counted_when_it_is_much(monkeypatch):
  monkeypatch.setattr(counts, "BUFFER", 3)
  found = counts.Counts()
  for n in range(10):
    found.add(np.array([n % 2, 7]))
    assert len(found._waiting) < 3
  assert found.values.tolist() == [0, 1, 7]
  assert found.counts.tolist() == [5, 5, 10]
