import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import chunking


@pytest.mark.parametrize("size", [1, 2, 3, 6, 8, 24])
def test_groups_hold_rows_of_every_stretch_and_come_back(size):
  """Of 8 devices' rows, a group has as many of each as it can."""
  rows = np.arange(24 * 2).reshape(24, 2)
  parts = chunking.split(rows, size)
  assert parts.shape == (24 // size, size, 2)
  np.testing.assert_array_equal(chunking.joined(parts), rows)
  if size == 8:
    np.testing.assert_array_equal(parts[0, :, 0] // 2, np.arange(8) * 3)


@pytest.mark.parametrize(("each", "rows"), [(1, 24), (10, 24), (50, 8)])
def test_a_device_holds_no_more_than_it_may(each, rows):
  assert jax.device_count() == 8
  assert chunking.at_once(24, each, held=50) == rows


def test_a_row_that_is_too_large_is_worked_on_alone():
  assert chunking.at_once(3, 100, held=50) == 3
  assert chunking.at_once(24, 100, held=50) == 8


def test_rows_are_those_of_a_plain_call():
  x = jnp.arange(24.0).reshape(24, 1)

  def cubes(x):
    return x**3, jnp.sum(x, -1)

  for held in (1, 100):
    got = chunking.rows(cubes, x, each=1, held=held)
    jax.tree.map(np.testing.assert_array_equal, got, cubes(x))
    slope = jax.grad(
      lambda x, held=held: chunking.rows(cubes, x, each=1, held=held)[0].sum()
    )(x)
    np.testing.assert_allclose(slope, 3 * x**2)
