import jax
import numpy as np

from pinrec_jax.data import schema
from pinrec_jax.model import time_encoding


def _encode(time, gap):
  encoding = time_encoding.TimeEncoding()
  time, gap = np.array([time], np.uint32), np.array([gap], np.int32)
  return encoding.init_with_output(jax.random.key(0), time, gap)[0][0]


def test_an_unknown_time_and_gap_are_encoded_as_zeros():
  np.testing.assert_array_equal(
    _encode([schema.UNKNOWN_TIME], [-1])[0], np.zeros_like(_encode([1], [1])[0])
  )


def test_times_a_period_apart_are_equal_and_a_minute_apart_are_not():
  now = 1_651_334_400
  here, later, tomorrow = _encode(
    [now, now + 60, now + time_encoding.DAY], [0, 0, 0]
  )
  day = time_encoding.PERIODS.index(time_encoding.DAY)
  assert abs(here[day] - tomorrow[day]) < 1e-6
  angle = 2 * np.pi * ((now + 60) % time_encoding.DAY) / time_encoding.DAY
  np.testing.assert_allclose(later[day], np.sin(angle), atol=1e-5)


def test_different_gaps_have_different_encodings():
  encoded = _encode([1] * 4, [0, 30, 3600, 86400])
  distance = np.abs(encoded[:, None] - encoded[None]).sum(-1)
  assert (distance + 10 * np.eye(4)).min() > 0.5


def test_an_unknown_gap_differs_from_a_gap_of_zero():
  unknown, zero = _encode([1, 1], [-1, 0])
  assert np.abs(unknown - zero).sum() > 0.5
