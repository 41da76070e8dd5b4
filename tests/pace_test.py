import pytest

from pinrec_jax import pace


@pytest.fixture
def clock(monkeypatch):
  """A clock that only work and sleep move; sleeps are listed."""
  now, sleeps = [0.0], []

  def sleep(seconds):
    sleeps.append(seconds)
    now[0] += seconds

  monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
  monkeypatch.setattr(pace.time, "sleep", sleep)
  return now, sleeps


def test_a_rest_is_in_proportion_to_the_part_before_it(clock):
  now, sleeps = clock
  rest = pace.Pace(0.5)
  for took in (0.01, 0.02, 5.0):
    now[0] += took
    rest()
  assert sleeps == pytest.approx([0.01 * pace.TIMES, 0.02 * pace.TIMES, 0.5])
