import jax
import jax.numpy as jnp
import numpy as np

from pinrec_jax.model import attention, hstu, pooled

LENGTH, WIDTH, HEADS = 6, 8, 2


def _view():
  segment = jnp.array([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
  time = jnp.array(
    [[0, 100, 130, 50, 9_000, 0], [0, 0, 10, 10, 4_000_000, 4_000_001]],
    jnp.uint32,
  )
  view, _ = attention.look_back(segment, time, None)
  return view, np.asarray(segment), np.asarray(time).astype(np.int64)


def _normed(x, scale, bias):
  mean = x.mean(-1, keepdims=True)
  return (x - mean) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * scale + bias


def test_the_block_equals_its_definition_in_float64():
  view, segment, time = _view()
  block = hstu.Block(HEADS, 0.0, jnp.float32, LENGTH)
  x = jax.random.normal(jax.random.key(0), (2, LENGTH, WIDTH))
  params = block.init(jax.random.key(1), x, view, None, False)["params"]
  params = jax.tree.map(
    lambda p: jax.random.normal(jax.random.key(p.size), p.shape) * 0.5, params
  )
  got, past = block.apply({"params": params}, x, view, None, False)
  assert past is None
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
  x = np.asarray(x, np.float64)
  normed = _normed(x, p["attention_norm"]["scale"], p["attention_norm"]["bias"])

  def silu(a):
    return a / (1 + np.exp(-a))

  gate, query, key, value = (
    silu(np.einsum("blw,whk->blhk", normed, p[n]["kernel"]) + p[n]["bias"])
    for n in ("gate", "query", "key", "value")
  )
  read = np.zeros_like(value)
  for row in range(2):
    for here in range(LENGTH):
      for there in range(here + 1):
        if segment[row, there] != segment[row, here] or not segment[row, there]:
          continue
        bucket = hstu.TIME_BUCKETS
        if time[row, here] and time[row, there]:
          apart = time[row, here] - time[row, there]
          bucket = min(
            int(np.log1p(apart) / hstu.BUCKET_WIDTH), hstu.TIME_BUCKETS - 1
          )
        bias = p["place_bias"][here - there] + p["time_bias"][bucket]
        for head in range(HEADS):
          logit = query[row, here, head] @ key[row, there, head] + bias
          read[row, here, head] += (
            silu(logit) / LENGTH * value[row, there, head]
          )
  read = _normed(
    read.reshape(x.shape), p["read_norm"]["scale"], p["read_norm"]["bias"]
  )
  y = read * gate.reshape(x.shape)
  want = x + y @ p["out"]["kernel"] + p["out"]["bias"]
  real = segment > 0
  np.testing.assert_allclose(
    np.asarray(got)[real], want[real], rtol=2e-4, atol=2e-4
  )


def test_without_its_mlp_the_pooled_block_is_the_mean_of_the_past():
  view, segment, _ = _view()
  block = pooled.Block(HEADS, 0.0, jnp.float32)
  x = jax.random.normal(jax.random.key(0), (2, LENGTH, WIDTH))
  params = block.init(jax.random.key(1), x, view, None, False)["params"]
  params["mlp_out"] = jax.tree.map(jnp.zeros_like, params["mlp_out"])
  got, _ = block.apply({"params": params}, x, view, None, False)
  for row in range(2):
    for here in np.flatnonzero(segment[row]):
      own = (segment[row] == segment[row, here]) & (np.arange(LENGTH) <= here)
      np.testing.assert_allclose(
        got[row, here], x[row, own].mean(0), rtol=1e-5, atol=1e-6
      )
