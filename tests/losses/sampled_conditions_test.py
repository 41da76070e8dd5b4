import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax.losses import conditions, positives

DAY = 86_400


def _age(batch):
  age = jnp.asarray(batch.targets.age)
  return jnp.where(age < 0, 0, 1 + age // (2 * DAY))


@pytest.fixture(scope="module")
def sampled(later):
  """Returns the function from a batch to targets, positives and a sample."""

  @functools.partial(jax.jit, static_argnames="config")
  def of(batch, config, key=0):
    targets, key = later(batch), jax.random.key(key)
    positive = positives.objective(config.objective).positives(
      key, targets, config
    )
    found = conditions.sample(
      key, batch, targets.bucket, _age(batch), positive, config
    )
    return targets, positive, found

  return of


@pytest.mark.parametrize("objective", positives.OBJECTIVES)
def test_every_remaining_positive_satisfies_the_condition(
  batch, sampled, configured, objective
):
  batch, config = batch[0], configured(objective=objective).loss
  targets, length, kept = batch.targets, batch.tokens.item.shape[1], 0
  for key in range(3):
    later, positive, (condition, remaining, _) = jax.tree.map(
      np.asarray, sampled(batch, config, key)
    )
    for row, query, there in np.argwhere(remaining):
      assert positive[row, query, there]
      outcome, *parts = (part[row, query] for part in condition)
      if outcome:
        assert targets.outcomes[row, there, outcome - 1]
      values = (
        targets.surface[row, there],
        later.bucket[row, query % length, there],
        targets.item_type[row, there],
        _age(batch)[row, there],
      )
      for part, value in zip(parts, values, strict=True):
        assert part in (0, value + 1)
      if objective == "multi_token":  # The first queries have no offset.
        assert (parts[1] > 0) == (query >= length)
      kept += 1
    # A query with a positive keeps one at least.
    np.testing.assert_array_equal(remaining.any(-1), positive.any(-1))
    if positives.objective(objective).trained != "all":
      assert remaining.sum(-1).max() == 1
  assert kept > 50


def test_the_dense_objective_draws_any_positive(batch, sampled, configured):
  batch, config = batch[0], configured(objective="dense").loss
  drawn = np.stack(
    [np.asarray(sampled(batch, config, key)[2].positive) for key in range(40)]
  )
  positive = np.asarray(sampled(batch, config)[1])
  two = positive.sum(-1) == 2
  assert two.sum() > 5
  rate = drawn.mean(0)[two][positive[two]]
  np.testing.assert_allclose(rate.mean(), 0.5)
  assert 0.15 < rate.min() < rate.max() < 0.85


def test_the_outcomes_of_a_target_are_drawn_equally_often(
  batch, sampled, configured
):
  targets = batch[0].targets
  both = np.zeros_like(targets.outcomes)
  both[..., :2] = 1
  changed = batch[0]._replace(targets=targets._replace(outcomes=both))
  config = configured().loss
  drawn = [
    np.asarray(sampled(changed, config, key)[2].condition.outcome)
    for key in range(150)
  ]
  outcome = np.stack(drawn)[:, targets.item > 0]
  rate = (outcome[outcome > 0] == 2).mean()
  np.testing.assert_allclose(rate, 1 / 2, atol=0.03)


def test_an_outcome_is_learned_from_all_its_targets_equally(
  batch, sampled, configured
):
  targets = batch[0].targets
  # Every target has the first outcome, and some have a second or third one.
  kind = np.arange(targets.item.size).reshape(targets.item.shape) % 3
  outcomes = np.stack([kind >= 0, kind == 1, kind == 2], -1).astype(np.uint8)
  changed = batch[0]._replace(targets=targets._replace(outcomes=outcomes))
  config = configured().loss
  drawn = [sampled(changed, config, key)[2] for key in range(400)]
  outcome = np.stack([np.asarray(d.condition.outcome) for d in drawn])
  weight = np.stack([np.asarray(d.weight) for d in drawn])
  # The weights of a draw are relative to each other.
  weight /= np.where(outcome == 1, weight, 0).sum((1, 2), keepdims=True)
  real = targets.item > 0
  total = [
    (weight * (outcome == 1))[:, real & (kind == k)].mean() for k in range(3)
  ]
  np.testing.assert_allclose(total, np.mean(total), rtol=0.1)
  chance = [(outcome == 1)[:, real & (kind == k)].mean() for k in range(3)]
  assert chance[0] > 1.3 * max(chance[1:])  # So the weights are needed.


def test_each_part_of_a_condition_is_dropped_independently(
  batch, sampled, configured
):
  batch, config, rate = batch[0], configured().loss, conditions.DROPOUT
  drawn = [sampled(batch, config, key)[2].condition for key in range(60)]
  real = batch.targets.item > 0
  dropped = [
    np.stack([np.asarray(getattr(d, part) == 0)[real] for d in drawn])
    for part in ("surface", "offset", "item_type", "age")
  ]
  for part in dropped:
    np.testing.assert_allclose(part.mean(), rate, atol=0.03)
  np.testing.assert_allclose(
    (dropped[0] & dropped[1]).mean(), rate**2, atol=0.02
  )
