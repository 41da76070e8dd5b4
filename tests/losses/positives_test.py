import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax.losses import positives


def _definition(name, targets, batch, window):
  """The positives of an objective, one pair of places at a time: [b l l]."""
  targets = jax.tree.map(np.asarray, targets)
  segment, target = batch.tokens.segment, batch.targets
  rows, length = segment.shape
  positive = np.zeros((rows, length, length), bool)
  for row in range(rows):
    for here in range(length):
      for there in range(here, length):
        same_user = segment[row, here] == segment[row, there] > 0
        if not same_user or target.item[row, there] == 0:
          continue
        following = here == there
        # Several positions may have one target; the first of them counts.
        later = following or target.new[row, there]
        ahead = int(target.time[row, there]) - int(batch.tokens.time[row, here])
        known = target.time[row, there] > 0 and batch.tokens.time[row, here] > 0
        within = following or (known and later and 0 <= ahead <= window)
        session = target.session[row]
        positive[row, here, there] = {
          "next_item": following,
          "windowed": within,
          "dense": within,
          "session": later and session[here] == session[there],
          "multi_token": following,
        }[name]
        if known:
          assert targets.seconds[row, here, there] == ahead
          assert targets.bucket[row, here, there] == 1 + sum(
            ahead >= edge for edge in (43_201, 100_000)
          )
        else:
          assert targets.seconds[row, here, there] == -1
          assert targets.bucket[row, here, there] == 0
  return positive


def _mask(name, targets, config, key=0):
  found = positives.objective(name).positives(
    jax.random.key(key), targets, config
  )
  return np.asarray(found)


@pytest.mark.parametrize("name", positives.OBJECTIVES)
def test_every_objective_equals_its_definition(
  name, batch_of_any_history, later, configured
):
  batch, loss = batch_of_any_history, configured(objective=name).loss
  targets, length = later(batch), batch.tokens.item.shape[1]
  found = _mask(name, targets, loss)
  expected = _definition(name, targets, batch, loss.window)
  np.testing.assert_array_equal(found[:, :length], expected)
  several = (expected.sum(-1) > 1).any()
  assert several == (name not in ("next_item", "multi_token"))


@pytest.mark.parametrize("name", positives.OBJECTIVES)
def test_a_target_of_several_positions_counts_once(
  name, batch_of_any_history, later, configured
):
  batch = batch_of_any_history
  tokens, targets = batch
  found = _mask(name, later(batch), configured(objective=name).loss)
  # The events of a user have different times in this world.
  same = (
    (targets.time[:, :, None] == targets.time[:, None])
    & (tokens.segment[:, :, None] == tokens.segment[:, None])
    & (targets.item > 0)[:, :, None]
    & (targets.time > 0)[:, None]
  )
  times = np.einsum("bql,blm->bqm", found.astype(int), same.astype(int))
  assert times.max() == 1


def test_one_bucket_is_drawn_from_all_that_hold_a_target(
  batch, later, configured
):
  batch, loss = batch[0], configured(objective="multi_token").loss
  targets, length = later(batch), batch.tokens.item.shape[1]
  in_bucket = np.stack(
    [targets.later & (targets.bucket == n) for n in (1, 2, 3)], 1
  )
  filled = in_bucket.any(-1).sum(1)
  counts = np.zeros(in_bucket.shape[:3])
  for key in range(60):
    found = _mask("multi_token", targets, loss, key)
    np.testing.assert_array_equal(found[:, :length], targets.following)
    same = (found[:, None, length:] == in_bucket).all(-1) & in_bucket.any(-1)
    np.testing.assert_array_equal(same.any(1), filled > 0)
    counts += same / np.maximum(same.sum(1, keepdims=True), 1)
  several = (filled > 1)[:, None] & in_bucket.any(-1)
  assert several.sum() > 10
  rate = counts * filled[:, None] / 60
  np.testing.assert_allclose(rate[several].mean(), 1, atol=0.02)
  assert 0.3 < rate[several].min() < rate[several].max() < 1.7


def test_each_marked_place_is_drawn_equally_often():
  among = jnp.asarray(
    [[0, 1, 0, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool
  )
  keys = jax.random.split(jax.random.key(0), 6000)
  drawn = jax.vmap(lambda key: positives.draw_one(key, among))(keys)
  rate = np.stack([(np.asarray(drawn) == n).mean(0) for n in range(5)], -1)
  expected = np.asarray(among) / np.maximum(among.sum(-1, keepdims=True), 1)
  expected[1, 0] = 1  # The place 0 if none is marked.
  np.testing.assert_allclose(rate, expected, atol=0.02)


def test_an_unknown_objective_is_refused_with_the_known_ones():
  with pytest.raises(
    ValueError, match=r"is 'next'; choose from next_item, win"
  ):
    positives.objective("next")
