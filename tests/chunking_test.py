import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import chunking, sharding


@pytest.mark.parametrize("size", [1, 2, 3, 6, 8, 24])
def test_a_chunk_has_rows_of_every_device_and_joins_back(size):
  rows = np.arange(24 * 2).reshape(24, 2)
  parts = chunking.split(rows, size)
  assert parts.shape == (24 // size, size, 2)
  np.testing.assert_array_equal(chunking.join(parts), rows)
  if size == 8:
    np.testing.assert_array_equal(parts[0, :, 0] // 2, np.arange(8) * 3)


@pytest.mark.parametrize(("per_row", "rows"), [(1, 24), (10, 24), (50, 8)])
def test_a_device_computes_no_more_than_its_limit(per_row, rows):
  assert jax.device_count() == 8
  assert chunking.chunk_size(24, per_row, limit=50) == rows


def test_devices_along_the_model_axis_hold_the_same_rows():
  with jax.set_mesh(sharding.device_mesh(4)):
    assert chunking.chunk_size(24, 10, limit=50) == 8
    parts = chunking.split(np.arange(24), 2)
  np.testing.assert_array_equal(parts[0], [0, 12])


def test_rows_above_the_limit_are_computed_one_by_one():
  assert chunking.chunk_size(3, 100, limit=50) == 3
  assert chunking.chunk_size(24, 100, limit=50) == 8


def test_mapped_rows_equal_those_of_a_plain_call():
  x = jnp.arange(24.0).reshape(24, 1)

  def cubes(x):
    return x**3, jnp.sum(x, -1)

  for limit in (1, 100):
    got = chunking.map_rows(cubes, x, per_row=1, limit=limit)
    jax.tree.map(np.testing.assert_array_equal, got, cubes(x))

    def total(x, limit=limit):
      return chunking.map_rows(cubes, x, per_row=1, limit=limit)[0].sum()

    slope = jax.grad(total)(x)
    np.testing.assert_allclose(slope, 3 * x**2)


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_summed_rows_equal_those_of_a_plain_call(limit):
  rng = np.random.default_rng(0)
  rows, shared = rng.normal(size=(24, 3)), rng.normal(size=3)
  learned = jnp.float32(rows), jnp.float32(shared)
  fixed = np.arange(24), np.int32(2)

  def total(learned, fixed):
    (rows, shared), (place, factor) = learned, fixed
    return jnp.sum(jnp.tanh(rows * shared) * place[:, None]) * factor

  got, slope = jax.value_and_grad(
    lambda own: 5 * chunking.sum_rows(total, own, fixed, per_row=1, limit=limit)
  )(learned)
  want = 5 * total((rows, shared), fixed)
  np.testing.assert_allclose(got, want, rtol=1e-5)
  plain = chunking.sum_rows(total, learned, fixed, per_row=1, limit=limit)
  np.testing.assert_allclose(plain, want / 5, rtol=1e-5)
  inner = (1 - np.tanh(rows * shared) ** 2) * fixed[0][:, None] * 10
  np.testing.assert_allclose(slope[0], inner * shared, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
    slope[1], (inner * rows).sum(0), rtol=1e-4, atol=1e-5
  )
