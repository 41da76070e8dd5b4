"""The programs for accelerators can be lowered on any machine."""

import jax
import jax.numpy as jnp
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import histories, pipeline
from pinrec_jax.decode import conditions, generate
from pinrec_jax.index import exact, sharded
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

PLATFORMS = ("tpu", "cuda")


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def parts(world, request):
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=16,
      num_heads=2,
      embedding_dim=8,
      table_size=64,
      dtype=request.param,
    ),
    loss=config_lib.Loss(in_batch_negatives=32, uniform_negatives=16),
  )
  config.data.sequence_length = 16
  rows, corpus = training_data.packed(config, world)
  model = pinrec.of_config(config, world.vocabulary)
  batch = next(pipeline.batches(rows, batch=8, seed=0))
  return config, model, jax.tree.map(jnp.asarray, corpus), batch


def test_a_training_step_can_be_lowered(parts):
  config, model, corpus, batch = parts
  transform = optimizer.build(config.train)
  state = state_lib.shapes(model, transform)
  traced = step_lib.train_step.trace(
    state, batch, corpus, jnp.float32(0),
    model=model, transform=transform, config=config.loss, seed=0,
  )  # fmt: skip
  for platform in PLATFORMS:
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.dot_general" in text


def test_generation_can_be_lowered(parts, world):
  config, model, *_ = parts
  tokens = histories.serving([world.events[1].where(slice(-7, None))], 8)
  vectors = jnp.zeros((*tokens.item.shape, config.model.embedding_dim))
  params = state_lib.create(model, optimizer.build(config.train)).params
  ask = conditions.Ask(budget=(0.5, 0.5, 0.0, 0.0), offsets=(-1, 3600))
  batch, _ = conditions.of_batch([ask], offsets=2, steps=3)
  traced = generate.generate.trace(
    model, params, vectors, tokens, batch, steps=3
  )
  for platform in PLATFORMS:
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.while" in text


def test_a_sharded_search_is_approximate_where_a_recall_is_given():
  """A TPU gets the recall and the number of all rows, not of its own."""
  for recall, approximate in ((1.0, False), (0.95, True)):
    traced = sharded.nearest.trace(
      jnp.zeros((64, 4)), jnp.ones(64, bool), jnp.zeros((2, 4)),
      mesh=sharding.device_mesh(2), k=2, recall=recall,
    )  # fmt: skip
    text = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert ("recall_target = 0.949999988" in text) == approximate
    assert ("reduction_input_size_override = 64" in text) == approximate
    precision = "HIGH" if approximate else "HIGHEST"
    assert f"precision = [{precision}, {precision}]" in text
    traced.lower(lowering_platforms=("cuda",))


def test_exact_search_rounds_no_factors():
  traced = exact._nearest.trace(jnp.zeros((64, 4)), jnp.zeros((2, 4)), 2)
  for platform in PLATFORMS:
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "precision = [HIGHEST, HIGHEST]" in text
