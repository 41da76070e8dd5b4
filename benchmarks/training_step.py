"""A training step that benchmarks take again and again on one batch."""

import dataclasses
from typing import Any

import jax
import numpy as np
from peers import pinrec_evaluation

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import schema
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

RATE = np.float32(0.001)  # The learning rate takes no time.


@dataclasses.dataclass
class Step:
  """A training step and its arguments.

  Attributes:
    state: state before the step.
    batch: the batch.
    corpus: features and frequencies of all items.
    arguments: static arguments of the step.
    mesh: devices of the step.
  """

  state: state_lib.State
  batch: schema.Batch
  corpus: objectives.Corpus
  arguments: dict[str, Any]
  mesh: jax.sharding.Mesh

  @classmethod
  def of_log(
    cls,
    config: config_lib.Config,
    dataset: dataset_lib.Dataset,
    mesh: jax.sharding.Mesh,
  ) -> "Step":
    """Returns a step on the first rows of a log."""
    rows, corpus = training_data.packed(config, dataset)
    each = [rows[place] for place in range(config.train.batch_size)]
    batch = jax.tree.map(lambda *columns: np.stack(columns), *each)
    model = pinrec.of_config(config, dataset.vocabulary)
    transform = optimizer.build(config.train)
    return cls(
      state_lib.initial(model, transform, mesh, 0),
      sharding.from_rows(mesh, batch),
      sharding.from_all(mesh, corpus),
      {
        "model": model,
        "transform": transform,
        "config": config.loss,
        "seed": 0,
        "rows_only": config.train.table_optimizer != "adam",
        "shards": sharding.table_shards(mesh),
      },
      mesh,
    )

  @classmethod
  def random(
    cls, config: config_lib.Config, items: int, mesh: jax.sharding.Mesh
  ) -> "Step":
    """Returns a step on full random histories over a number of items."""
    random = np.random.default_rng(0)
    # Two more events, because each history holds out two.
    shape = config.train.batch_size, config.data.sequence_length + 2
    dataset = pinrec_evaluation.log(
      random.integers(1, items + 1, shape, np.int32), items
    )
    return cls.of_log(config, dataset, mesh)

  def take(self) -> tuple[state_lib.State, step_lib.Metrics]:
    """Takes the step; returns what to wait for."""
    with jax.set_mesh(self.mesh):
      self.state, metrics = step_lib.train_step(
        self.state, self.batch, self.corpus, RATE, **self.arguments
      )
    return self.state, metrics

  def compiled(self) -> jax.stages.Compiled:
    """Returns the compiled program."""
    with jax.set_mesh(self.mesh):
      return step_lib.train_step.lower(
        self.state, self.batch, self.corpus, RATE, **self.arguments
      ).compile()


def one_device() -> jax.sharding.Mesh:
  """Returns a mesh of the first device."""
  return sharding.device_mesh(devices=jax.devices()[:1])
