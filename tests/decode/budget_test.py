import numpy as np
import pytest

from pinrec_jax.decode import budget


@pytest.mark.parametrize(
  "form", ["click:0.7, save:0.3", {"click": 0.7, "save": 0.3}]
)
def test_a_budget_is_a_share_per_outcome_and_the_unspecified_share(world, form):
  found = budget.parse(form, world.vocabulary)
  assert found == (0.7, 0.3, 0.0, 0.0)
  assert budget.as_json(found, world.vocabulary) == {"click": 0.7, "save": 0.3}


def test_a_share_of_zero_is_not_listed(world):
  found = budget.parse("click:1,save:0", world.vocabulary)
  assert budget.as_json(found, world.vocabulary) == {"click": 1.0}


def test_a_share_may_go_to_the_unspecified_outcome(world):
  found = budget.parse("unspecified:0.6,like:0.4", world.vocabulary)
  assert found == (0.0, 0.0, 0.4, 0.6)
  names = budget.as_json(found, world.vocabulary)
  assert names == {"like": 0.4, "unspecified": 0.6}


@pytest.mark.parametrize(
  ("form", "complaint"),
  [
    ("click:0.7,save:0.4", "sums to 1.1, not 1"),
    ("click:0.5", "sums to 0.5, not 1"),
    ({"click": 0.5}, "sums to 0.5, not 1"),
    ("click:1.5,save:-0.5", "1.5 of 'click' is not between 0 and 1"),
    ("save:-0.5,click:1.5", "-0.5 of 'save' is not between 0 and 1"),
    ("buy:1", "unknown outcome 'buy'; this data set has click, save, like"),
    ("hide:1", "unknown outcome 'hide'"),
    ("click:0.5,click:0.5", "names 'click' twice"),
    ("click:many", "'many' of 'click' is not a number; write click:0.5"),
    ("click:nan", "nan of 'click' is not between"),
    ("", "unknown outcome ''"),
  ],
)
def test_an_invalid_budget_is_refused_with_its_fault(world, form, complaint):
  with pytest.raises(ValueError, match=complaint):
    budget.parse(form, world.vocabulary)


def test_the_default_budget_is_the_fractions_of_the_log():
  found = budget.from_fractions(np.array([3.0, 1.0, 0.0]))
  assert found == (0.75, 0.25, 0.0, 0.0)


def test_an_unspecified_budget_has_no_outcome(world):
  assert budget.unspecified(world.vocabulary) == (0.0, 0.0, 0.0, 1.0)
