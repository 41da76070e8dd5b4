"""The optimizer: AdamW, and row-wise Adagrad for hash tables.

The learning rate is an input of the training step. So trainings that differ in
their rate or number of steps share one compiled program.
"""

import flax.traverse_util
import numpy as np
import optax
from jaxtyping import Float

from pinrec_jax import config as config_lib
from pinrec_jax.training import hash_tables

CLIP_NORM = 1.0  # Of the gradient of all parameters.
WEIGHT_DECAY = 0.01  # Of dense kernels only.
SECOND_MOMENT_DECAY = 0.98
FINAL_RATE = 0.02  # Fraction of the peak learning rate at the last step.


def learning_rates(config: config_lib.Train) -> Float[np.ndarray, "steps"]:
  """Returns the rate of each step: linear warm-up, then cosine decay."""
  schedule = optax.warmup_cosine_decay_schedule(
    0.0,
    config.learning_rate,
    config.warmup_steps,
    max(config.steps, config.warmup_steps + 1),
    FINAL_RATE * config.learning_rate,
  )
  return np.asarray(schedule(np.arange(config.steps)), np.float32)


def build(config: config_lib.Train) -> optax.GradientTransformation:
  """Returns AdamW with a clipped gradient, for a learning rate of 1.

  With `table_optimizer="adagrad"`, hash tables use row-wise Adagrad at the same
  learning rate.
  """
  transform = optax.adamw(
    1.0, b2=SECOND_MOMENT_DECAY, weight_decay=WEIGHT_DECAY, mask=_decayed
  )
  if config.table_optimizer == "adagrad":
    tables = optax.chain(
      hash_tables.adagrad(), optax.scale_by_learning_rate(1.0)
    )
    transform = optax.partition(
      {"tables": tables, "rest": transform}, hash_tables.labels
    )
  return optax.chain(optax.clip_by_global_norm(CLIP_NORM), transform)


def _decayed(params: dict) -> dict:
  """Marks the kernels of dense layers."""
  flat = flax.traverse_util.flatten_dict(params)
  return flax.traverse_util.unflatten_dict(
    {path: path[-1] == "kernel" for path in flat}
  )
