"""Gains over users: of the same users, paired."""

import numpy as np
import pytest
import users


def test_a_gain_is_paired_by_user():
  rng = np.random.default_rng(0)
  base = rng.integers(0, 3, 500)
  more = base.copy()
  more[:400:4] += 1
  found = users.over(
    {"uc": (base, 2000), "same": (base.copy(), 2000), "oc": (more, 2000)}, "uc"
  )
  assert found["same"]["gain"] == found["same"]["low"] == 0.0
  oc, size = found["oc"], base.sum()
  assert oc["recall"] == (size + 100) / 2000
  np.testing.assert_allclose(oc["gain"], 100 / size)
  assert 0 < oc["low"] < oc["gain"] < oc["high"]
  # Unpaired, the recalls of 500 users differ by chance far more than this.
  assert oc["high"] - oc["low"] < 0.09


@pytest.mark.parametrize("name", ["oc", "none"])
def test_a_baseline_without_hits_is_named(name):
  hits = {"uc": (np.ones(3, int), 3), "none": (np.zeros(3, int), 3)}
  with pytest.raises(ValueError, match=f"'{name}' has no trained model"):
    users.over(hits, name)
