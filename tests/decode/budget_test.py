import numpy as np
import pytest

from pinrec_jax.decode import budget


def test_shares_are_read(world):
  got = budget.parse("click:0.7, save:0.3", world.vocabulary)
  assert got == {"click": 0.7, "save": 0.3}


def test_an_outcome_without_share_is_left_out(world):
  assert budget.parse("click:1,save:0", world.vocabulary) == {"click": 1.0}


def test_a_share_may_aim_at_no_outcome(world):
  got = budget.parse("unspecified:0.6,like:0.4", world.vocabulary)
  assert got == {"unspecified": 0.6, "like": 0.4}
  places = [budget.index(name, world.vocabulary) for name in got]
  assert places == [-1, 2]


@pytest.mark.parametrize(
  ("text", "complaint"),
  [
    ("click:0.7,save:0.4", "sums to 1.1, not 1"),
    ("click:0.5", "sums to 0.5, not 1"),
    ("click:1.5,save:-0.5", "1.5 of 'click' is not between 0 and 1"),
    ("save:-0.5,click:1.5", "-0.5 of 'save' is not between 0 and 1"),
    ("buy:1", "unknown outcome 'buy'; this data set has click, save, like"),
    ("hide:1", "unknown outcome 'hide'"),
    ("click:0.5,click:0.5", "names 'click' twice"),
    ("click:many", "'many' of 'click' is no number"),
    ("click:nan", "nan of 'click' is not between"),
    ("", "unknown outcome ''"),
  ],
)
def test_a_bad_budget_is_told_apart(world, text, complaint):
  with pytest.raises(ValueError, match=complaint):
    budget.parse(text, world.vocabulary)


def test_default_budget_is_the_logs_own(world):
  got = budget.from_shares(np.array([3.0, 1.0, 0.0]), world.vocabulary)
  assert got == {"click": 0.75, "save": 0.25}


def test_steps_share_an_outcomes_budget():
  got = budget.over_steps(np.array([0.8, 0.2]), 3, 0.5)
  np.testing.assert_allclose(got.sum(0), [0.8, 0.2], rtol=1e-6)
  np.testing.assert_allclose(got[1] / got[0], 0.5, rtol=1e-6)
