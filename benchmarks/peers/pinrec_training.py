"""This project's SASRec: a training step."""

import jax
import jax.numpy as jnp
import numpy as np
import turns
import work

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import schema
from pinrec_jax.losses import objectives
from pinrec_jax.model import item_embedder, pinrec
from pinrec_jax.training import optimizer
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib


def main() -> None:
  """Takes turns until there are no more."""
  unit = work.unit()
  config = configured(unit)
  known = catalog(work.ITEMS)
  model = pinrec.of_config(config, known.vocabulary)
  transform = optimizer.build(config.train)
  state = state_lib.create(model, transform)
  data = batch(work.histories())
  share = known.items.candidate / np.float32(work.ITEMS)
  corpus = objectives.Corpus(
    item_embedder.features(known.items, config.model.num_hashes, config.model.table_size),
    share.astype(np.float32), np.zeros_like(share, np.float32),
    np.ones(1, np.float32),
  )  # fmt: skip
  corpus = jax.tree.map(jnp.asarray, corpus)

  def step() -> None:
    nonlocal state
    state, metrics = step_lib.train_step(
      state, data, corpus,
      model=model, transform=transform, config=config.loss, seed=0,
    )  # fmt: skip
    jax.block_until_ready((state, metrics))

  turns.train(step)


def catalog(
  number: int, actions: tuple[str, ...] = ("click",)
) -> catalog_lib.Catalog:
  """Returns items 1 to a number, without features, and their actions."""
  vocabulary = schema.Vocabulary(
    actions=actions, outcomes=len(actions), surfaces=("unknown",),
    item_types=("item",), features=(), dense=0,
  )  # fmt: skip
  ids = np.arange(number + 1)
  empty = np.zeros((len(ids), 0))
  items = schema.Items(
    ids, ids * 0, empty.astype(np.int32), empty.astype(np.float32), ids > 0
  )
  return catalog_lib.Catalog(vocabulary, items, {})


def configured(unit: work.Unit) -> config_lib.Config:
  """Returns SASRec of a unit's sizes; a row for each item and none shared."""
  config = config_lib.Config()
  config.data.sequence_length = work.LENGTH
  model = config.model
  model.hidden_dim = model.embedding_dim = unit.width
  model.num_heads, model.num_layers, model.head = (
    unit.heads,
    work.BLOCKS,
    "state",
  )
  model.dropout = work.DROPOUT
  model.num_hashes, model.table_size, model.inputs = 1, work.ITEMS + 1, ()
  model.conditioned = False
  model.positions = "end"
  config.loss.in_batch_negatives, config.loss.uniform_negatives = (
    0,
    unit.negatives,
  )
  config.loss.full_softmax = not unit.negatives
  config.train.batch_size = work.BATCH
  return config


def batch(rows: np.ndarray) -> schema.Batch:
  """Returns full histories, each a row."""
  item, target = rows[:, :-1], rows[:, 1:]
  zero, place = np.zeros_like(item), np.arange(work.LENGTH, dtype=np.int32)
  place = np.broadcast_to(place, item.shape)
  clicked = np.ones((*item.shape, 1), np.uint8)
  time = zero.astype(np.uint32)
  return schema.Batch(
    schema.Tokens(
      item, clicked, zero, time, zero - 1, place + 1, place[:, ::-1], zero + 1
    ),
    schema.Targets(
      target, clicked, zero, zero, time, zero - 1, zero, zero, zero == 0
    ),
  )  # fmt: skip


if __name__ == "__main__":
  main()
