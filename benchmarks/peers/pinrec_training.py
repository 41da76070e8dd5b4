"""This package's SASRec: a training step."""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from peers import turns, work

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import schema
from pinrec_jax.losses import negative_sampling, objectives
from pinrec_jax.model import item_embedder, pinrec
from pinrec_jax.training import optimizer
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib


def main() -> None:
  """Takes turns until none is wanted."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--devices", type=int, default=1, help="parts of the CPU")
  devices = parser.parse_known_args()[0].devices
  jax.config.update("jax_num_cpu_devices", devices)
  unit = work.unit()
  config = configured(unit)
  known = catalog(work.ITEMS)
  model = pinrec.of_config(config, known.vocabulary)
  transform = optimizer.build(config.train)
  rate = jnp.float32(config.train.learning_rate)
  mesh = sharding.device_mesh(model=1, fsdp=1)
  state = state_lib.initial(model, transform, mesh, seed=0)
  data = sharding.from_rows(mesh, batch(work.histories()))
  frequency = (known.items.candidate / work.ITEMS).astype(np.float32)
  corpus = objectives.Corpus(
    item_embedder.features(
      known.items, config.model.num_hashes, config.model.table_size
    ),
    negative_sampling.Frequencies(frequency, np.zeros_like(frequency)),
  )
  corpus = sharding.from_all(mesh, corpus)

  def step() -> None:
    nonlocal state
    state, metrics = step_lib.train_step(
      state,
      data,
      corpus,
      rate,
      model=model,
      transform=transform,
      config=config.loss,
      seed=0,
    )
    jax.block_until_ready((state, metrics))

  with jax.set_mesh(mesh):
    turns.train(step)


def catalog(
  number: int, actions: tuple[str, ...] = ("click",)
) -> catalog_lib.Catalog:
  """Returns items 1 to `number` without features, and their actions."""
  vocabulary = schema.Vocabulary(
    actions=actions,
    outcomes=len(actions),
    surfaces=("unknown",),
    item_types=("item",),
    features=(),
    dense=0,
  )
  ids = np.arange(number + 1)
  empty = np.zeros((len(ids), 0))
  items = schema.Items(
    ids, ids * 0, empty.astype(np.int32), empty.astype(np.float32), ids > 0
  )
  return catalog_lib.Catalog(vocabulary, items, {})


def configured(unit: work.Unit) -> config_lib.Config:
  """Returns SASRec of a unit's sizes, with one table row per item."""
  return config_lib.replace(
    config_lib.Config(),
    **{
      "data.sequence_length": work.LENGTH,
      "model.hidden_dim": unit.width,
      "model.embedding_dim": unit.width,
      "model.num_heads": unit.heads,
      "model.num_layers": work.BLOCKS,
      "model.head": "state",
      "model.dropout": work.DROPOUT,
      "model.num_hashes": 1,
      "model.table_size": work.ITEMS + 1,
      "model.inputs": (),
      "model.conditioned": False,
      "model.positions": "end",
      "loss.in_batch_negatives": 0,
      "loss.uniform_negatives": unit.negatives,
      "loss.full_softmax": not unit.negatives,
      "train.batch_size": work.BATCH,
    },
  )


def batch(rows: np.ndarray) -> schema.Batch:
  """Returns full histories, one per row."""
  item, target = rows[:, :-1], rows[:, 1:]
  zero, place = np.zeros_like(item), np.arange(work.LENGTH, dtype=np.int32)
  place = np.broadcast_to(place, item.shape)
  clicked = np.ones((*item.shape, 1), np.uint8)
  time = zero.astype(np.uint32)
  return schema.Batch(
    schema.Tokens(
      item=item,
      actions=clicked,
      surface=zero,
      time=time,
      gap=zero - 1,
      position=place + 1,
      after=place[:, ::-1],
      segment=zero + 1,
    ),
    schema.Targets(
      item=target,
      outcomes=clicked,
      surface=zero,
      item_type=zero,
      time=time,
      age=zero - 1,
      session=zero,
      shown=zero,
      new=zero == 0,
    ),
  )


if __name__ == "__main__":
  main()
