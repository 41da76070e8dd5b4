import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import sharding
from pinrec_jax.model import attention, blockwise_attention, tpu_attention


def _case(rows=8, length=256):
  rng = np.random.default_rng(0)
  case = rng.normal(size=(3, rows, length, 2, 128)).astype(np.float32)
  segment = np.sort(rng.integers(1, 4, (rows, length)), 1).astype(np.int32)
  segment[:, -9:] = 0  # Padding.
  view, _ = attention.look_back(segment, segment.astype(np.uint32), None)
  assert view.segment is not None
  return [jnp.asarray(x) for x in case], view, view.segment


@pytest.mark.parametrize("mesh", [None, (1, 1), (2, 2)])
def test_the_kernel_equals_blockwise_attention(mesh):
  """On one device, and with the rows of a batch on several."""
  case, view, segment = _case()
  kept = (segment > 0)[..., None, None]

  def both(attend, *case):
    def total(*case):
      return jnp.sum(jnp.where(kept, attend(*case, view), 0) ** 2)

    return jax.value_and_grad(total, argnums=(0, 1, 2))(*case)

  kernel = functools.partial(tpu_attention.attend, interpret=True)
  with contextlib.ExitStack() as stack:
    if mesh:
      stack.enter_context(jax.set_mesh(sharding.device_mesh(*mesh)))
    got = jax.jit(functools.partial(both, kernel))(*case)
  want = jax.jit(functools.partial(both, blockwise_attention.attend))(*case)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-3),
    got,
    want,
  )


def test_it_is_used_on_a_tpu_alone_and_without_a_cache(monkeypatch):
  (query, *_), view, segment = _case(1)
  assert not tpu_attention.fits(query, view)
  monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
  assert tpu_attention.fits(query, view)
  assert not tpu_attention.fits(query[:, -1:], view.last())
  assert not tpu_attention.fits(query[:, :200], view)
  assert not tpu_attention.fits(query[..., :64], view)
  cache = attention.empty_cache(1, 256, 1, 2, 256, jnp.float32)
  of_cache, _ = attention.look_back(segment, view.time, cache)
  assert not tpu_attention.fits(query, of_cache)
