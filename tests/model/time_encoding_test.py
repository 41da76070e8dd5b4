import jax
import numpy as np

from pinrec_jax.data import schema
from pinrec_jax.model import time_encoding


def _encode(time, gap):
  encoding = time_encoding.TimeEncoding()
  time, gap = np.array([time], np.uint32), np.array([gap], np.int32)
  return encoding.init_with_output(jax.random.key(0), time, gap)[0][0]


def test_unknown_is_all_zero():
  np.testing.assert_array_equal(
    _encode([schema.UNKNOWN_TIME], [-1])[0], np.zeros_like(_encode([1], [1])[0])
  )


def test_a_period_is_told_to_the_second():
  now = 1_651_334_400
  here, later, tomorrow = _encode(
    [now, now + 60, now + time_encoding.DAY], [0, 0, 0]
  )
  day = time_encoding.PERIODS.index(time_encoding.DAY)
  assert abs(here[day] - tomorrow[day]) < 1e-6
  angle = 2 * np.pi * ((now + 60) % time_encoding.DAY) / time_encoding.DAY
  np.testing.assert_allclose(later[day], np.sin(angle), atol=1e-5)


def test_gaps_are_told_apart():
  encoded = _encode([1] * 4, [0, 30, 3600, 86400])
  distance = np.abs(encoded[:, None] - encoded[None]).sum(-1)
  assert (distance + 10 * np.eye(4)).min() > 0.5


def test_an_unknown_gap_is_not_a_gap_of_none():
  unknown, none = _encode([1, 1], [-1, 0])
  assert np.abs(unknown - none).sum() > 0.5
