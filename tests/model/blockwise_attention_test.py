import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import chunking
from pinrec_jax.model import attention, blockwise_attention


def _case(length, slots, batch=6, dtype=np.float32):
  rng = np.random.default_rng(0)
  query = rng.normal(size=(batch, length, 2, 4)).astype(dtype)
  key, value = rng.normal(size=(2, batch, slots, 2, 4)).astype(dtype)
  return jnp.asarray(query), jnp.asarray(key), jnp.asarray(value)


def _view(length, slots, batch=6, start=0):
  rng = np.random.default_rng(1)
  segment = np.sort(rng.integers(1, 4, (batch, slots)), axis=1)
  mask = attention.causal_mask(
    segment[:, slots - length :], segment, slots - length
  )
  time = np.zeros((batch, slots), np.uint32)
  return attention.View(start, mask, time[:, slots - length :], time)


def _reference(query, key, value, view):
  return jax.nn.dot_product_attention(query, key, value, mask=view.mask)


@pytest.mark.parametrize(
  "length", [5, 200, pytest.param(300, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("limit", [1, 1 << 30])
def test_value_and_gradient_equal_those_of_plain_attention(
  length, limit, monkeypatch
):
  """In one chunk and row by row, in one span and in several."""
  monkeypatch.setitem(chunking.LIMITS, "cpu", limit)
  case, view = _case(length, length), _view(length, length)

  def both(attend):
    value, gradient = jax.value_and_grad(
      lambda *case: jnp.sum(attend(*case, view) ** 3), argnums=(0, 1, 2)
    )(*case)
    return value, gradient, attend(*case, view)

  got, want = (
    jax.jit(lambda attend=attend: both(attend))()
    for attend in (blockwise_attention.attend, _reference)
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4),
    got,
    want,
  )


def test_a_span_skips_the_slots_after_it():
  spans = blockwise_attention._spans
  two = ((0, 100, 100), (100, 200, 200))
  assert spans(200, 200, 0) == two
  assert spans(200, 215, 0) == two
  assert spans(2, 200, 5) == ((0, 2, 7),)
  assert spans(200, 200, jnp.zeros((), int)) == ((0, 200, 200),)


@pytest.mark.parametrize(("length", "start"), [(3, 147), (140, 0), (130, 20)])
def test_positions_read_all_earlier_slots_of_a_cache(length, start):
  """Whether the start is known at compile time or not; later slots vary."""
  case, view = _case(length, 160), _view(length, start + length, start=start)
  later = [(0, 0)] * 3 + [(0, 160 - start - length)]
  view = dataclasses.replace(
    view,
    mask=jnp.pad(view.mask, later),
    past_time=np.zeros((6, 160), np.uint32),
  )
  unknown = dataclasses.replace(view, start=jnp.array(start))
  for own in (view, unknown):
    np.testing.assert_allclose(
      blockwise_attention.attend(*case, own), _reference(*case, view), atol=1e-5
    )


def test_the_backward_pass_stores_no_logits():
  """Its memory grows with the length, not with the square of the length."""
  length = 512
  case, view = _case(length, length, batch=2), _view(length, length, batch=2)
  _, stored = jax.eval_shape(
    lambda *case: jax.vjp(
      lambda query, key, value: blockwise_attention.attend(
        query, key, value, view
      ),
      *case,
    ),
    *case,
  )
  floats = [x for x in jax.tree.leaves(stored) if x.dtype == jnp.float32]
  assert floats
  assert all(x.size < length * length for x in floats)


def test_bfloat16_is_close_to_float32():
  case, view = _case(40, 40), _view(40, 40)
  query, key, value = (x.astype(jnp.bfloat16) for x in case)
  got = blockwise_attention.attend(query, key, value, view)
  assert got.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    got.astype(jnp.float32), _reference(*case, view), atol=0.05
  )
