"""The programs that benchmarks/tpu_compile.py compiles, and their shapes.

Nothing here makes an array. A table of ten billion numbers is a shape.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any
from unittest import mock

import bounds
import jax
import jax.numpy as jnp
import numpy as np
import tpu_chips
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import schema
from pinrec_jax.decode import conditions
from pinrec_jax.inference import generation
from pinrec_jax.losses import negative_sampling, objectives
from pinrec_jax.model import item_embedder, pinrec
from pinrec_jax.training import optimizer
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

# Rows of each of the two tables of width 128; multiples of 256.
TABLES = {"1b": 3_906_304, "10b": 39_062_528}
VOCABULARY = schema.Vocabulary(
  actions=("click", "save", "share", "hide"),
  outcomes=3,
  surfaces=("unknown", "home", "search", "related"),
  item_types=("organic", "shopping"),
  features=(schema.Feature("topic", 10_000, 2),),
  dense=8,
)
STEPS = 6  # Of a generation, as in the paper.


@dataclasses.dataclass(frozen=True)
class Sizes:
  """The sizes of a case. Blocks have a hundred million parameters by default.

  Attributes:
    layers: number of blocks.
    width: width of the backbone.
    heads: attention heads.
    length: positions of a history.
    rows: histories of a batch, per chip.
    requests: requests of a generated batch, per chip.
    negatives: half of them from the batch, half of them uniform.
    items: items of the catalog.
    table_size: rows of each of two tables.
    fsdp: devices along the fsdp axis.
    model: devices along the model axis.
    remat: remat policy.
    optimizer: of the tables.
  """

  layers: int = 14
  width: int = 768
  heads: int = 6
  length: int = 1024
  rows: int = 8
  requests: int = 8
  negatives: int = 32_768
  items: int = 10_000_000
  table_size: int = TABLES["1b"]
  fsdp: int = 8
  model: int = 1
  remat: str = "all"
  optimizer: str = "lazy_adam"

  def config(self, chips: int) -> config_lib.Config:
    """Returns the configuration of a run at this size."""
    return config_lib.replace(
      config_lib.Config(),
      **{
        "data.sequence_length": self.length,
        "model.hidden_dim": self.width,
        "model.num_heads": self.heads,
        "model.num_layers": self.layers,
        "model.embedding_dim": 256,
        "model.table_size": self.table_size,
        "model.remat": self.remat,
        "model.dtype": "bfloat16",
        "loss.in_batch_negatives": self.negatives // 2,
        "loss.uniform_negatives": self.negatives // 2,
        "train.batch_size": self.rows * chips,
        "train.table_optimizer": self.optimizer,
        "train.fsdp_axis": self.fsdp,
        "train.model_axis": self.model,
      },
    )


# Devices along the fsdp axis, which hold the tables once between them.
FSDP = {"v5e-8": 8, "v5p-64": 16, "v6e-256": 16}


def sizes(name: str, tables: str, **changes: Any) -> Sizes:
  """Returns the sizes of a case.

  Args:
    name: of a slice.
    tables: key of `TABLES`.
    **changes: other values of fields.
  """
  own = Sizes(table_size=TABLES[tables], fsdp=FSDP[name])
  return dataclasses.replace(own, **changes)


@contextlib.contextmanager
def compiling_for(chosen: tpu_chips.Slice) -> Iterator[list[Any]]:
  """Yields the devices of a slice that is not there.

  The package asks JAX for the number and the kind of its devices. Here, it gets
  those of the slice.
  """
  found = topologies.get_topology_desc(
    platform="tpu", topology_name=chosen.topology
  )
  devices = list(found.devices)
  assert len(devices) == chosen.chips
  with (
    mock.patch.object(jax, "device_count", return_value=len(devices)),
    mock.patch.object(jax, "default_backend", return_value="tpu"),
  ):
    yield devices


def lowered(
  kind: str, sizes: Sizes, devices: list[Any]
) -> tuple[jax.stages.Lowered, float]:
  """Returns a program to compile, and the operations of its model.

  Args:
    kind: "step" or "generation".
    sizes: of the model and the batch.
    devices: of the slice.
  """
  mesh = sharding.device_mesh(sizes.model, sizes.fsdp, devices)
  config = sizes.config(len(devices))
  model = pinrec.of_config(config, VOCABULARY)
  transform = optimizer.build(config.train)
  shapes = state_lib.shapes(model, transform)
  if kind == "generation":
    batch = sizes.requests * len(devices)
    needs = bounds.of_generation(config, shapes.params, batch, STEPS)
    return generated(config, model, shapes.params, mesh, batch), (
      needs.operations
    )
  layout = sharding.of_tree(mesh, shapes)
  state = jax.tree.map(
    lambda x, own: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=own),
    shapes,
    layout,
  )
  with jax.set_mesh(mesh):
    step = step_lib.train_step.lower(
      state,
      over_rows(mesh, batch_of(config)),
      copied(mesh, corpus_of(config, sizes.items)),
      copied(mesh, jax.ShapeDtypeStruct((), jnp.float32)),
      model=model,
      transform=transform,
      config=config.loss,
      seed=0,
      rows_only=config.train.table_optimizer != "adam",
      shards=sharding.table_shards(mesh),
    )
  return step, bounds.of_step(config, shapes.params).operations


def generated(
  config: config_lib.Config,
  model: pinrec.PinRec,
  params: Any,
  mesh: jax.sharding.Mesh,
  batch: int,
) -> jax.stages.Lowered:
  """Returns the generation of a batch whose requests are split over chips.

  The paper's request has three outcomes and one vector each. The parameters are
  copied to every chip, without the tables, which generation does not read.
  """
  vocabulary = model.vocabulary
  ask = conditions.Ask(
    budget=(0.6, 0.3, 0.1, 0.0), steps=STEPS, offsets=(conditions.NEXT_EVENT,)
  )
  asked, budget = conditions.of_batch([ask] * batch, offsets=1, steps=STEPS)
  length = config.data.sequence_length - STEPS + 1
  flat = budget.reshape(batch, -1)
  given = generation.Inputs(
    np.zeros((batch, length, config.model.embedding_dim), np.float32),
    schema.empty_tokens(batch, length, len(vocabulary.actions)),
    asked,
    np.tile(np.arange(flat.shape[1]), (batch, 1)),
    flat,
  )
  spread = over_rows(mesh, given)
  whole = copied(mesh, given.conditions.outcome)
  spread = spread._replace(conditions=spread.conditions._replace(outcome=whole))
  return generation.vectors.lower(
    model,
    copied(mesh, params),
    spread,
    steps=STEPS,
    threshold=config.decode.dedup_threshold,
  )


def over_rows(mesh: jax.sharding.Mesh, tree: Any) -> Any:
  """Returns the shapes of arrays whose rows are split over devices."""
  return _shapes(NamedSharding(mesh, PartitionSpec(sharding.BATCH)), tree)


def copied(mesh: jax.sharding.Mesh, tree: Any) -> Any:
  """Returns the shapes of arrays that every device holds."""
  return _shapes(NamedSharding(mesh, PartitionSpec()), tree)


def _shapes(layout: NamedSharding, tree: Any) -> Any:
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, jax.dtypes.canonicalize_dtype(x.dtype), sharding=layout
    ),
    tree,
  )


def batch_of(config: config_lib.Config) -> schema.Batch:
  """Returns a batch of the right shapes."""
  rows, length = config.train.batch_size, config.data.sequence_length
  tokens = schema.empty_tokens(rows, length, len(VOCABULARY.actions))
  zero = tokens.item
  return schema.Batch(
    tokens,
    schema.Targets(
      item=zero,
      outcomes=np.zeros((rows, length, VOCABULARY.outcomes), np.uint8),
      surface=zero,
      item_type=zero,
      time=tokens.time,
      age=zero,
      session=zero,
      shown=zero,
      new=zero == 0,
    ),
  )


def corpus_of(config: config_lib.Config, items: int) -> objectives.Corpus:
  """Returns the shapes of the features and frequencies of a catalog."""

  def _made() -> objectives.Corpus:
    slots = sum(feature.slots for feature in VOCABULARY.features)
    count = items + 1
    return objectives.Corpus(
      item_embedder.ItemFeatures(
        rows=jnp.zeros((count, config.model.num_hashes), jnp.int32),
        categorical=jnp.zeros((count, slots), jnp.int32),
        dense=jnp.zeros((count, VOCABULARY.dense)),
        item_type=jnp.zeros(count, jnp.int32),
      ),
      negative_sampling.Frequencies(jnp.zeros(count), jnp.zeros(count)),
    )

  return jax.eval_shape(_made)
