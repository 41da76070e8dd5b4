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


@pytest.mark.parametrize("length", [5, 200, 300])
@pytest.mark.parametrize("held", [1, 1 << 30])
def test_value_and_gradient_are_those_of_plain_attention(
  length, held, monkeypatch
):
  """In one group or row by row, in one span or several."""
  monkeypatch.setitem(chunking.HELD, "cpu", held)
  case, view = _case(length, length), _view(length, length)

  def both(read):
    value, gradient = jax.value_and_grad(
      lambda *case: jnp.sum(read(*case, view) ** 3), argnums=(0, 1, 2)
    )(*case)
    return value, gradient, read(*case, view)

  got, want = (
    jax.jit(lambda read=read: both(read))()
    for read in (blockwise_attention.read, _reference)
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4),
    got,
    want,
  )


def test_a_span_leaves_out_what_comes_after_it():
  """Two spans cost less than one; slots not yet filled cost nothing."""
  spans = blockwise_attention._spans
  two = ((0, 100, 100), (100, 200, 200))
  assert spans(200, 200, 0) == two
  assert spans(200, 215, 0) == two
  assert spans(2, 200, 5) == ((0, 2, 7),)
  assert spans(200, 200, jnp.zeros((), int)) == ((0, 200, 200),)


@pytest.mark.parametrize(("length", "start"), [(3, 147), (140, 0), (130, 20)])
def test_positions_of_a_longer_past_read_all_before_them(length, start):
  """Known or not when it is compiled; slots to come hold anything."""
  case, view = _case(length, 160), _view(length, start + length, start=start)
  later = [(0, 0)] * 3 + [(0, 160 - start - length)]
  view = dataclasses.replace(
    view,
    mask=jnp.pad(view.mask, later),
    past_time=np.zeros((6, 160), np.uint32),
  )
  unknown = dataclasses.replace(view, start=jnp.array(start))
  for told in (view, unknown):
    np.testing.assert_allclose(
      blockwise_attention.read(*case, told), _reference(*case, view), atol=1e-5
    )


def test_a_gradient_keeps_no_logits():
  """What is kept for the backward pass grows with length, not its square."""
  length = 512
  case, view = _case(length, length, batch=2), _view(length, length, batch=2)
  _, kept = jax.eval_shape(
    lambda *case: jax.vjp(
      lambda query, key, value: blockwise_attention.read(
        query, key, value, view
      ),
      *case,
    ),
    *case,
  )
  floats = [x for x in jax.tree.leaves(kept) if x.dtype == jnp.float32]
  assert floats
  assert all(x.size < length * length for x in floats)


def test_bfloat16_stays_near_float32():
  case, view = _case(40, 40), _view(40, 40)
  query, key, value = (x.astype(jnp.bfloat16) for x in case)
  got = blockwise_attention.read(query, key, value, view)
  assert got.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    got.astype(jnp.float32), _reference(*case, view), atol=0.05
  )
