"""The typed configuration of a run.

Every default is visible at its field. `validation.validate` checks a
configuration and freezes it. docs/configuration.md is generated from the
comments here and in config_data.py and config_deployment.py.
"""

import dataclasses
from typing import Any, Literal

from pinrec_jax.config_data import Custom as Custom
from pinrec_jax.config_data import Data
from pinrec_jax.config_deployment import Serve, Update
from pinrec_jax.validation import (
  Age,
  Edges,
  Fraction,
  ListSizes,
  LocalPath,
  Names,
  NonNegativeInt,
  Offsets,
  PositiveFloat,
  PositiveInt,
  Section,
  section,
)


@section
class Model(Section):
  """Sizes and options of the network."""

  # Kind of block: "transformer", "hstu", or "pooled" (the mean of the history,
  # as in a two-tower model).
  backbone: str = "transformer"
  # Width of the backbone. 0 follows the size of the log.
  hidden_dim: NonNegativeInt = 64
  num_layers: PositiveInt = 2  # Blocks of the backbone.
  num_heads: PositiveInt = 2  # Attention heads of a block.
  # Width of item vectors and queries. 0 follows the size of the log.
  embedding_dim: NonNegativeInt = 64
  dropout: Fraction = 0.2  # Dropout rate of the backbone.
  num_hashes: PositiveInt = 2  # Hash functions; each has its own table.
  # Rows of each hash table. 0 follows the number of items.
  table_size: NonNegativeInt = 8192
  # Probability of dropping an item's id embedding during training, so that the
  # model learns to use content features alone. If it is above 0, items without
  # any engagement in training are embedded from content alone.
  id_dropout: Fraction = 0.0
  # What the model reads beside item ids: "content" features of items,
  # "actions" of events, and their "context" (time and surface).
  inputs: Names = ("content", "actions", "context")
  # Multiply item vectors by sqrt(embedding_dim) before the backbone reads them
  # (arXiv 1808.09781). Turn it off on a small log to reduce overfitting.
  scale_embeddings: bool = True
  # Count positions from the "start" or from the "end" of a history.
  positions: Literal["start", "end"] = "start"
  # False trains PinRec-UC: no outcome, surface, item type, age or offset.
  conditioned: bool = True
  # How the head reads a condition: as an input of its "mlp" beside the state
  # (arXiv 2504.10507), as a "shift" of the predicted vector, or as a shift of
  # the "state", which is then the prediction itself (arXiv 1808.09781).
  head: Literal["mlp", "shift", "state"] = "mlp"
  # Edges between buckets of time ahead, in seconds. Empty: three edges fitted
  # to the gaps between engagements.
  offset_edges: Edges = (60, 3600, 86400)
  # Edges between buckets of target age, in seconds before the end of training.
  age_edges: Edges = (86400, 2 * 86400, 4 * 86400)
  # Activations of a block kept for the backward pass: all of them, matrix
  # "products", or block "inputs" alone. Less memory costs more time.
  remat: Literal["all", "products", "inputs"] = "all"
  # Type of activations. Use "bfloat16" on accelerators.
  dtype: Literal["float32", "bfloat16"] = "float32"


@section
class Loss(Section):
  """The targets of a position, and the negatives."""

  # Which later engagements are positives of a position: the next one
  # ("next_item"), all within `window` ("windowed"), the rest of the session
  # ("session"), the next one and one drawn bucket of time ahead
  # ("multi_token"), or one drawn from the window ("dense", PinnerFormer).
  objective: str = "next_item"
  # How the losses of several positives become one.
  multi_positive: Literal["min", "softmin", "mean"] = "min"
  window: PositiveInt = 86400  # Length of the window, in seconds.
  # Negatives drawn from the targets of the same batch.
  in_batch_negatives: NonNegativeInt = 768
  # Negatives drawn uniformly from the catalog.
  uniform_negatives: NonNegativeInt = 256
  # Negatives drawn from impressions without engagement.
  impression_negatives: NonNegativeInt = 0
  # Use every item of the catalog as a negative and draw none.
  full_softmax: bool = False
  # Correction of sampled negatives. "classic" corrects the positive, too.
  logq: Literal["corrected", "classic", "none"] = "corrected"


@section
class Train(Section):
  """Optimization, devices and logging."""

  seed: int = 0  # Seed of initial values, data order and all draws.
  steps: NonNegativeInt = 1000  # Updates. 0 follows the size of the log.
  # Stop after this many validations in a row without a new best. 0 takes all
  # steps.
  patience: NonNegativeInt = 0
  # Rows of an update, over all processes. 0 follows the size of the log.
  batch_size: NonNegativeInt = 64
  # Parts of a batch that are differentiated one after another to save memory.
  # In-batch negatives come from the same part.
  grad_accumulation: PositiveInt = 1
  learning_rate: PositiveFloat = 2e-3  # Peak rate; a cosine decays it.
  warmup_steps: NonNegativeInt = 50  # Steps until the peak rate.
  # Work folder of a run whose weights this run starts from. Empty: new weights.
  init_from: LocalPath = ""
  # Train on the validation period, too, and keep the last checkpoint.
  train_on_validation: bool = False
  # Optimizer of the hash tables. "adam" updates every row. "lazy_adam" and
  # "adagrad" update only the rows that a step reads.
  table_optimizer: Literal["adam", "lazy_adam", "adagrad"] = "adam"
  # Devices along the model axis, which splits tables and wide layers.
  model_axis: PositiveInt = 1
  # Devices along the fsdp axis, which splits parameters, optimizer state and
  # the batch. All other devices form the data axis.
  fsdp_axis: PositiveInt = 1
  # Steps between validations and checkpoints. 0 is a twentieth of all steps.
  eval_every: NonNegativeInt = 200
  eval_users: NonNegativeInt = 2000  # Users of a validation; 0 takes all.
  # Steps to record for TensorBoard's profiler, in WORKDIR/profile; 0 records
  # none. Recording starts after ten steps.
  profile_steps: NonNegativeInt = 0


@section
class Decode(Section):
  """What a request asks for by default."""

  # Shares of the candidates by outcome, such as "click:0.7,like:0.3". Empty:
  # the shares of the training log.
  budget: str = ""
  steps: PositiveInt = 1  # Generation steps of each outcome.
  surface: str = ""  # Condition. Empty: unspecified.
  item_type: str = ""  # Condition. Empty: unspecified.
  # Conditions: seconds ahead, with one vector per outcome and offset. -1 is the
  # next event at any time. Empty means (-1,).
  offsets: Offsets = ()
  # Condition: target age in seconds before the end of training. 0 is the most
  # recent; -1 is unspecified. Logs that are not split by time ignore it.
  age: Age = 0
  # Vectors of an outcome whose cosine is above this are merged. Unlike the
  # paper, which uses about 0.9: here, queries with cosine 0.98 still retrieve
  # different items.
  dedup_threshold: PositiveFloat = 0.99
  candidates: PositiveInt = 100  # Length of a list.


@section
class Index(Section):
  """Nearest-neighbour search."""

  # "auto" is ScaNN where it is installed, else exact search. "exact" compares a
  # query with all vectors on one device. "sharded" does so on all devices of
  # the process, each of which holds a part of the vectors (docs/scaling.md).
  kind: Literal["auto", "scann", "exact", "sharded"] = "auto"
  # Minimum recall of ScaNN against exact search, measured on sampled queries
  # when the index is built. On a TPU, also the expected recall of "sharded".
  min_recall: Fraction = 0.99
  # Items that are left out of a user's list: those the user engaged with, all
  # that were shown to the user, or none. "auto" is "nothing" if at least 5 % of
  # the engagements are repeats, else "engagements".
  filter_seen: Literal["auto", "engagements", "exposures", "nothing"] = "auto"


@section
class Evals(Section):
  """The figures of a report."""

  cutoffs: ListSizes = (10, 50, 100)  # Lengths k of recall@k and ndcg@k.
  batch_size: PositiveInt = 256  # Users in a batch.
  twin: bool = True  # Also train and report the unconditioned twin.
  # Outcomes between which the budget sweep moves, in order. "*" is all outcomes
  # of the log. Empty: no sweep.
  sweep: Names = ("is_click", "long_view", "is_like")
  # Also report oracle-time recall: the model is given the target's timestamp.
  # This leaks the label; use it only to compare with papers that do the same.
  oracle_time: bool = False


@section
class Config(Section):
  """Everything that a run depends on, apart from the data."""

  data: Data = dataclasses.field(default_factory=Data)
  model: Model = dataclasses.field(default_factory=Model)
  loss: Loss = dataclasses.field(default_factory=Loss)
  train: Train = dataclasses.field(default_factory=Train)
  decode: Decode = dataclasses.field(default_factory=Decode)
  index: Index = dataclasses.field(default_factory=Index)
  evals: Evals = dataclasses.field(default_factory=Evals)
  serve: Serve = dataclasses.field(default_factory=Serve)
  update: Update = dataclasses.field(default_factory=Update)


@section
class Inference(Section):
  """The part of the configuration that a bundle holds."""

  model: Model = dataclasses.field(default_factory=Model)
  decode: Decode = dataclasses.field(default_factory=Decode)
  index: Index = dataclasses.field(default_factory=Index)
  sequence_length: PositiveInt = 64  # As data.sequence_length.
  # As data.history_events.
  history_events: Literal["engagements", "exposures"] = "engagements"


def inference(config: Config) -> Inference:
  """Returns the part of a configuration that inference needs."""
  return Inference(
    replace(config.model),
    replace(config.decode),
    replace(config.index),
    config.data.sequence_length,
    config.data.history_events,
  )


def replace(config: Any, **fields: Any) -> Any:
  """Returns a copy with some fields changed, named "section.field".

  Args:
    config: a `Config` or one of its sections; it may be frozen.
    **fields: new values by path, as in `replace(c, **{"model.dropout": 0.1})`.

  Raises:
    AttributeError: if there is no such field.
  """
  changes: dict[str, Any] = {}
  inner: dict[str, dict[str, Any]] = {}
  for path, value in fields.items():
    name, _, rest = path.partition(".")
    if not hasattr(config, name):
      raise AttributeError(f"{type(config).__name__} has no field {name!r}")
    if rest:
      inner.setdefault(name, {})[rest] = value
    else:
      changes[name] = value
  for name, parts in inner.items():
    changes[name] = replace(changes.get(name, getattr(config, name)), **parts)
  for field in dataclasses.fields(config):  # sections are copied, never shared
    if isinstance(value := getattr(config, field.name), Section):
      changes.setdefault(field.name, replace(value))
  return dataclasses.replace(config, **changes)
