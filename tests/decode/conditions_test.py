import numpy as np

from pinrec_jax.decode import conditions

# Two outcomes and the unspecified one.
ASKS = (
  conditions.Ask(budget=(0.5, 0.3, 0.2), steps=3, surface=1, age=86_400),
  conditions.Ask(
    budget=(0.0, 1.0, 0.0), offsets=(3600, 0, 86_400), item_type=0
  ),
  conditions.Ask(budget=(0.4, 0.6, 0.0), offsets=(60, -1), steps=2),
)


def _shares():
  """The conditions, and budgets of [request step outcome offset]."""
  found, shares = conditions.of_batch(ASKS, offsets=3, steps=4)
  assert shares.shape == (3, 4, 9)
  return found, shares.reshape(3, 4, 3, 3)


def test_the_budget_of_every_request_sums_to_1():
  np.testing.assert_allclose(_shares()[1].sum((1, 2, 3)), 1, rtol=1e-6)


def test_the_vectors_of_an_outcome_divide_its_share():
  shares = _shares()[1]
  for row, ask in enumerate(ASKS):
    np.testing.assert_allclose(shares[row].sum((0, 2)), ask.budget, atol=1e-6)


def test_a_share_of_0_switches_an_outcome_off():
  shares = _shares()[1]
  assert not shares[1, :, 0].any()
  assert not shares[1, :, 2].any()
  assert not shares[2, :, 2].any()


def test_steps_and_offsets_beyond_those_of_a_request_have_no_budget():
  """A later step gets half of the step before; offsets get equal parts."""
  by_step = _shares()[1].sum((2, 3))
  np.testing.assert_allclose(by_step[0], [4 / 7, 2 / 7, 1 / 7, 0], rtol=1e-6)
  np.testing.assert_allclose(by_step[1], [1, 0, 0, 0])
  np.testing.assert_allclose(by_step[2], [2 / 3, 1 / 3, 0, 0], rtol=1e-6)
  by_offset = _shares()[1].sum((1, 2))
  np.testing.assert_allclose(by_offset[0], [1, 0, 0], rtol=1e-6)
  np.testing.assert_allclose(by_offset[1], [1 / 3] * 3, rtol=1e-6)
  np.testing.assert_allclose(by_offset[2], [1 / 2, 1 / 2, 0], rtol=1e-6)


def test_conditions_may_differ_from_request_to_request():
  found, _ = _shares()
  assert found.outcome.tolist() == [1, 1, 1, 2, 2, 2, 0, 0, 0]
  assert found.offset[:, :3].tolist() == [
    [-1, -1, -1],
    [3600, 0, 86_400],
    [60, -1, -1],
  ]
  np.testing.assert_array_equal(found.offset, np.tile(found.offset[:, :3], 3))
  # 0 leaves a part unspecified; a surface and a type count from 1.
  assert found.surface.tolist() == [2, 0, 0]
  assert found.item_type.tolist() == [0, 1, 0]
  assert found.age.tolist() == [86_400, -1, -1]


def test_the_nearest_offset_of_the_outcome_with_the_largest_share_is_fed_back():
  place = np.unravel_index(_shares()[0].fed_back, (3, 3))
  assert [[int(n) for n in part] for part in place] == [[0, 1, 1], [0, 1, 1]]
