import jax
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.losses import negative_sampling

ITEMS = 19


def _draw(
  key, targets, frequency, impressions=(), impression_frequency=None,
  *, in_batch=0, uniform=0, impression=0, **loss,
):  # fmt: skip
  frequency = np.asarray(frequency, np.float32)
  if impression_frequency is None:
    impression_frequency = frequency
  return negative_sampling.draw(
    jax.random.key(key),
    np.asarray(targets),
    np.asarray(impressions or [0]),
    negative_sampling.Frequencies(frequency, impression_frequency),
    config_lib.Loss(
      in_batch_negatives=in_batch,
      uniform_negatives=uniform,
      impression_negatives=impression,
      **loss,
    ),
  )


@pytest.mark.parametrize("impression", [0, 24])
def test_expected_counts_are_the_mean_counts(impression):
  rng = np.random.default_rng(0)
  frequency, impression_frequency = (
    np.append(0, rng.dirichlet(np.ones(ITEMS))).astype(np.float32)
    for _ in range(2)
  )
  counts, draws = np.zeros(ITEMS + 1), 400
  expected = 32 * frequency + 16 / ITEMS + impression * impression_frequency
  for n in range(draws):
    targets = rng.choice(ITEMS + 1, 64, p=frequency / frequency.sum())
    impressions = rng.choice(
      ITEMS + 1, 48, p=impression_frequency / impression_frequency.sum()
    )
    drawn, of_targets = _draw(
      n, targets, frequency, impressions.tolist(), impression_frequency,
      in_batch=32, uniform=16, impression=impression,
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
def test_real_items_are_drawn_before_empty_places(key):
  targets, frequency = np.zeros(64, np.int32), np.full(ITEMS + 1, 1 / ITEMS)
  targets[7::16] = [3, 5, 8, 3]
  drawn, _ = _draw(
    key, targets, frequency, targets[::-1].tolist(), in_batch=4, impression=3
  )
  item = np.asarray(drawn.item).tolist()
  assert sorted(item[:4]) == [3, 3, 5, 8]
  assert set(item[4:]) <= {3, 5, 8}


def test_empty_places_do_not_add_to_expected_counts():
  frequency = np.full(8, 1 / 7)
  drawn, _ = _draw(0, [0, 0, 0, 5, 6], frequency, in_batch=5)
  assert sorted(drawn.item.tolist()) == [0, 0, 0, 5, 6]
  np.testing.assert_allclose(np.exp(drawn.log_expected), 2 / 7, rtol=1e-5)


def test_uniform_draws_reach_every_item_and_never_row_0():
  drawn, _ = _draw(0, np.zeros(4, np.int32), np.full(6, 0.2), uniform=500)
  assert set(drawn.item.tolist()) == {1, 2, 3, 4, 5}


def test_without_correction_the_log_expected_counts_are_zero():
  frequency = np.full(6, 0.2)
  drawn, _ = _draw(0, [1, 2], frequency, in_batch=2, uniform=3, logq="none")
  np.testing.assert_array_equal(drawn.log_expected, np.zeros(5))


def test_a_full_softmax_has_every_item_once():
  frequency = np.full(ITEMS + 1, 1 / ITEMS, np.float32)
  drawn, expected = _draw(0, [3, 0, 3], frequency, full_softmax=True)
  np.testing.assert_array_equal(drawn.item, np.arange(1, ITEMS + 1))
  np.testing.assert_array_equal(drawn.log_expected, np.zeros(ITEMS))
  np.testing.assert_array_equal(expected, np.zeros(3))
