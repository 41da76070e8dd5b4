import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from pinrec_jax.data import counts


@hypothesis.given(
  st.lists(st.lists(st.integers(-50, 10**12), max_size=20), max_size=5),
  st.lists(st.floats(0, 100), min_size=1, max_size=5),
)
def test_counts_are_those_of_all_values(parts, percents):
  values = np.array([v for part in parts for v in part], np.int64)
  found = counts.Counts()
  for part in parts:
    found += counts.Counts.of(np.array(part, np.int64))
  expected, times = np.unique(values, return_counts=True)
  np.testing.assert_array_equal(found.values, expected)
  np.testing.assert_array_equal(found.counts, times)
  assert found.total == len(values)
  if len(values):
    assert found.mean == pytest.approx(values.mean())
    np.testing.assert_allclose(
      found.percentiles(percents), np.percentile(values, percents)
    )
