"""A batch of the small world, and configurations for it."""

import jax
import jax.numpy as jnp
import pytest

HALF_DAY = 43_200  # Between two events of a user.
DAY = 2 * HALF_DAY
EDGES = (HALF_DAY + 1, 100_000)  # Between buckets of time ahead.


@pytest.fixture(scope="package")
def configured():
  """Returns the function from fields of the loss to a configuration."""
  from pinrec_jax import config as config_lib

  def of(**loss):
    config = config_lib.Config(
      model=config_lib.Model(
        hidden_dim=16,
        num_heads=2,
        embedding_dim=8,
        table_size=64,
        offset_edges=EDGES,
        age_edges=tuple(range(2 * DAY, 20 * DAY, 2 * DAY)),
      ),
      loss=config_lib.Loss(
        **{
          "in_batch_negatives": 12,
          "uniform_negatives": 9,
          "window": 2 * HALF_DAY,
          **loss,
        }
      ),
    )
    config.data.sequence_length, config.train.batch_size = 12, 6
    config.data.session_gap = HALF_DAY
    return config

  return of


@pytest.fixture(scope="package", params=["engagements", "exposures"])
def batch_of_any_history(world, configured, request):
  """A batch; with exposures, several positions have the same target."""
  return _batch(world, configured(), request.param)[0]


@pytest.fixture(scope="package")
def batch(world, configured):
  """A batch, and the corpus of the world."""
  return _batch(world, configured(), "engagements")


def _batch(world, config, history_events):
  from pinrec_jax.data import pipeline
  from pinrec_jax.training import training_data

  config.data.history_events = history_events
  rows, corpus = training_data.packed(config, world)
  batch = next(pipeline.batches(rows, batch=6, seed=0))
  return batch, jax.tree.map(jnp.asarray, corpus)


@pytest.fixture(scope="package")
def later():
  """Returns the function from a batch to its targets, seen from positions."""
  from pinrec_jax.losses import positives

  def bucket_of(seconds):
    edges = jnp.array(EDGES)
    number = 1 + jnp.searchsorted(edges, seconds, side="right")
    return jnp.where(seconds < 0, 0, number)

  return lambda batch: positives.later_targets(batch, bucket_of, len(EDGES) + 1)
