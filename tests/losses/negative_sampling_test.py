import jax
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.losses import negative_sampling

ITEMS = 19


def _draw(
  key, targets, share, shown=(), shown_share=None,
  *, in_batch=0, uniform=0, impressions=0,
):  # fmt: skip
  share = np.asarray(share, np.float32)
  shown_share = share if shown_share is None else shown_share
  mixture = negative_sampling.Mixture(
    len(share) - 1, lambda item: share[item], lambda item: shown_share[item]
  )
  return mixture.draw(
    jax.random.key(key),
    np.asarray(targets),
    np.asarray(shown or [0]),
    config_lib.Loss(
      in_batch_negatives=in_batch,
      uniform_negatives=uniform,
      impression_negatives=impressions,
    ),
  )


@pytest.mark.parametrize("impressions", [0, 24])
def test_expected_counts_are_the_counts_seen_on_average(impressions):
  rng = np.random.default_rng(0)
  share, shown_share = (
    np.append(0, rng.dirichlet(np.ones(ITEMS))).astype(np.float32)
    for _ in range(2)
  )
  counts, draws = np.zeros(ITEMS + 1), 400
  expected = 32 * share + 16 / ITEMS + impressions * shown_share
  for n in range(draws):
    targets = rng.choice(ITEMS + 1, 64, p=share / share.sum())
    shown = rng.choice(ITEMS + 1, 48, p=shown_share / shown_share.sum())
    drawn, of_targets = _draw(
      n, targets, share, shown.tolist(), shown_share,
      in_batch=32, uniform=16, impressions=impressions,
    )  # fmt: skip
    item = np.asarray(drawn.item)
    np.add.at(counts, item, 1)
    for items, log_expected in (
      (item, drawn.log_expected),
      (targets, of_targets),
    ):
      np.testing.assert_allclose(
        np.exp(log_expected), expected[items], rtol=1e-4
      )
  np.testing.assert_allclose(counts[1:] / draws, expected[1:], rtol=0.15)


@pytest.mark.parametrize("key", range(5))
def test_places_that_hold_none_take_nobody_elses(key):
  targets, share = np.zeros(64, np.int32), np.full(ITEMS + 1, 1 / ITEMS)
  targets[7::16] = [3, 5, 8, 3]
  drawn, _ = _draw(
    key, targets, share, targets[::-1].tolist(), in_batch=4, impressions=3
  )
  item = np.asarray(drawn.item).tolist()
  assert sorted(item[:4]) == [3, 3, 5, 8]
  assert set(item[4:]) <= {3, 5, 8}


def test_positions_without_a_target_are_not_counted():
  share = np.full(8, 1 / 7)
  drawn, _ = _draw(0, [0, 0, 0, 5, 6], share, in_batch=5)
  assert sorted(drawn.item.tolist()) == [0, 0, 0, 5, 6]
  np.testing.assert_allclose(np.exp(drawn.log_expected), 2 / 7, rtol=1e-5)


def test_uniform_draws_reach_every_item_but_none_the_empty_row():
  drawn, _ = _draw(0, np.zeros(4, np.int32), np.full(6, 0.2), uniform=500)
  assert set(drawn.item.tolist()) == {1, 2, 3, 4, 5}


def test_of_a_full_softmax_every_item_is_there_once():
  share = np.full(ITEMS + 1, 1 / ITEMS, np.float32)
  mixture = negative_sampling.Mixture(
    ITEMS, lambda item: share[item], lambda item: share[item]
  )
  targets = np.array([3, 0, 3])
  drawn, expected = mixture.draw(
    jax.random.key(0),
    targets,
    np.zeros(1, int),
    config_lib.Loss(full_softmax=True),
  )
  np.testing.assert_array_equal(drawn.item, np.arange(1, ITEMS + 1))
  np.testing.assert_array_equal(drawn.log_expected, np.zeros(ITEMS))
  np.testing.assert_array_equal(expected, np.zeros(3))


@pytest.mark.parametrize("logq", ["corrected", "none"])
@pytest.mark.parametrize("full", [True, False])
def test_items_withheld_are_no_negatives(full, logq):
  """The loss and its gradient are those of a catalog without them."""
  rng = np.random.default_rng(0)
  share = np.append(0, np.full(ITEMS, 1 / ITEMS)).astype(np.float32)
  withheld = np.isin(np.arange(ITEMS + 1), [2, 3, 11])
  loss = config_lib.Loss(
    full_softmax=full, in_batch_negatives=6, uniform_negatives=60, logq=logq
  )
  targets, key = np.array([4, 5, 6, 7, 8, 4]), jax.random.key(0)

  def drawn(withheld):
    mixture = negative_sampling.Mixture(
      ITEMS, lambda item: share[item], lambda item: share[item], withheld
    )
    return mixture.draw(key, targets, np.zeros(1, int), loss)

  (kept, expected), (every, before) = drawn(withheld), drawn(None)
  np.testing.assert_array_equal(kept.item, every.item)
  np.testing.assert_array_equal(expected, before)  # of targets none is
  assert set(np.flatnonzero(withheld)) <= set(np.asarray(kept.item).tolist())
  query, vectors = rng.normal(size=4), rng.normal(size=(ITEMS + 1, 4))

  def partition(vectors):
    logits = vectors[kept.item] @ query - kept.log_expected
    return jax.nn.logsumexp(logits)

  there = ~withheld[np.asarray(kept.item)]
  logits = vectors[every.item[there]] @ query - every.log_expected[there]
  value, gradient = jax.value_and_grad(partition)(vectors)
  np.testing.assert_allclose(value, np.log(np.exp(logits).sum()), rtol=1e-5)
  assert not np.asarray(gradient)[withheld].any()
  met = np.setdiff1d(kept.item, np.flatnonzero(withheld))
  assert np.asarray(gradient)[met].any(-1).all()
