import jax
import jax.numpy as jnp
import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories
from pinrec_jax.losses import next_item


def _targets(outcomes: np.ndarray, surface: int = 2) -> histories.Targets:
  shape = outcomes.shape[:-1]
  return histories.Targets(
    item=np.ones(shape, np.int32),
    outcomes=outcomes.astype(np.uint8),
    surface=np.full(shape, surface, np.int32),
    gap=np.full(shape, 5, np.int32),
  )


def _drawn(outcomes, share, **loss):
  targets = _targets(outcomes)
  bucket = jnp.full(targets.item.shape, 3)
  return next_item.conditions(
    jax.random.key(0),
    targets,
    bucket,
    jnp.array(share, jnp.float32),
    config_lib.Loss(**loss),
  )


def test_a_condition_is_one_of_the_targets_own_outcomes():
  rng = np.random.default_rng(0)
  outcomes = rng.integers(0, 2, (4, 300, 3))
  drawn = _drawn(outcomes, [0.6, 0.3, 0.1], condition_drop=0.0)
  outcome = np.asarray(drawn.outcome)
  none = ~outcomes.any(-1)
  assert (outcome[none] == 0).all()
  chosen = np.take_along_axis(
    outcomes, np.maximum(outcome - 1, 0)[..., None], -1
  )
  assert (chosen[..., 0][~none] == 1).all()
  assert (drawn.surface == 2).all()
  assert (drawn.offset == 3).all()


def test_rare_outcomes_are_drawn_more_often_as_asked():
  outcomes = np.ones((1, 4000, 2))

  def rate(power):
    drawn = _drawn(
      outcomes, [0.9, 0.1], condition_drop=0.0, rare_outcomes=power
    )
    return float((drawn.outcome == 2).mean())

  np.testing.assert_allclose(rate(0.0), 0.5, atol=0.03)
  np.testing.assert_allclose(rate(1.0), 0.9, atol=0.03)


def test_each_part_is_left_out_on_its_own():
  drawn = _drawn(np.ones((1, 5000, 1)), [1.0], condition_drop=0.3)
  left = [np.asarray(part == 0) for part in drawn]
  for part in left:
    np.testing.assert_allclose(part.mean(), 0.3, atol=0.03)
  np.testing.assert_allclose((left[0] & left[1]).mean(), 0.09, atol=0.02)
