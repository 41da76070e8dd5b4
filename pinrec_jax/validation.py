"""Limits of configuration fields, the checks between fields, and freezing."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeVar

from pinrec_jax.buckets import addresses

REDIS = ("redis://", "rediss://", "unix://")  # Begin an address of a store.
_Class = TypeVar("_Class", bound=type)
# Whether a rule holds, the field to name if it does not, and the remedy.
_Rules = Iterator[tuple[bool, str, str]]


@dataclasses.dataclass(frozen=True)
class Limit:
  """A condition on the value of a field, and the remedy for other values."""

  holds: Callable[[Any], bool]
  remedy: str


def _increasing(value: tuple[Any, ...]) -> bool:
  whole = all(isinstance(number, int) and number > 0 for number in value)
  return whole and list(value) == sorted(set(value))


PositiveInt = Annotated[int, Limit(lambda n: n > 0, "use 1 or more")]
NonNegativeInt = Annotated[int, Limit(lambda n: n >= 0, "use 0 or more")]
PositiveFloat = Annotated[float, Limit(lambda x: x > 0, "use a number above 0")]
Fraction = Annotated[
  float, Limit(lambda x: 0 <= x < 1, "use 0 or more, and below 1")
]
# The command line reads an empty list, offset_edges=, as one empty text.
Edges = Annotated[
  tuple[int, ...],
  Limit(
    _increasing,
    "list seconds above 0, increasing, as (60, 3600), or none, as ()",
  ),
]
ListSizes = Annotated[
  tuple[int, ...],
  Limit(
    lambda value: bool(value) and _increasing(value),
    "list sizes above 0, increasing, as (10, 100)",
  ),
]
Names = Annotated[
  tuple[str, ...],
  Limit(
    lambda value: all(name and "," not in name for name in value),
    """list names, as ("click", "save"), or none, as ()""",
  ),
]
Offsets = Annotated[
  tuple[int, ...],
  Limit(
    lambda value: all(isinstance(n, int) and n >= -1 for n in value),
    "list whole seconds, 0 or more, or -1 for the next event; none is ()",
  ),
]
Port = Annotated[
  int, Limit(lambda n: 0 <= n < 65_536, "use 0 (any free port) to 65535")
]
# Only work folders and prepared logs are copied from a bucket.
_LOCAL = (
  "use a local or mounted disk: copy files of a bucket there, or mount it"
)
LocalPath = Annotated[str, Limit(addresses.is_local, _LOCAL)]
_STORE = "use a file of a local disk, or redis://HOST:6379/0"
Store = Annotated[
  str,
  Limit(lambda x: x.startswith(REDIS) or addresses.is_local(x), _STORE),
]
Age = Annotated[
  int, Limit(lambda n: n >= -1, "use seconds, 0 or more, or -1 for any")
]


class Section:
  """A part of the configuration. Its names are fixed; validation freezes it."""

  def __setattr__(self, name: str, value: Any) -> None:
    known = [field.name for field in dataclasses.fields(typing.cast(Any, self))]
    if name not in known:
      raise AttributeError(
        f"config.{type(self).__name__.lower()} has no field {name!r}; it has "
        f"{', '.join(known)}"
      )
    if "_frozen" in vars(self):
      raise dataclasses.FrozenInstanceError(
        f"the configuration is validated and frozen; set {name} before that, "
        "or make a copy with config.replace"
      )
    object.__setattr__(self, name, value)


@typing.dataclass_transform()
def section(cls: _Class) -> _Class:
  """Makes a class a dataclass whose field types carry their limits.

  A field's declared type may be `Annotated` with a `Limit`, or a `Literal`. The
  limit goes to the field's metadata. The plain type stays, because the flags of
  ml_collections read it.
  """
  made = dataclasses.dataclass(unsafe_hash=True)(cls)
  for field in dataclasses.fields(made):
    kind, limit = field.type, None
    if typing.get_origin(kind) is Annotated:
      kind, limit = typing.get_args(kind)
    elif typing.get_origin(kind) is Literal:
      known = typing.get_args(kind)
      limit = Limit(known.__contains__, f"choose from {', '.join(known)}")
      kind = type(known[0])
    field.type = kind
    field.metadata = types.MappingProxyType({"limit": limit} if limit else {})
  return made


def fields(
  part: Any, path: str = "config"
) -> Iterator[tuple[str, Any, dataclasses.Field]]:
  """Yields the path, the value and the declaration of every field."""
  for field in dataclasses.fields(part):
    value, own = getattr(part, field.name), f"{path}.{field.name}"
    if isinstance(value, Section):
      yield from fields(value, own)
    else:
      yield own, value, field


def validate(config: Any) -> None:
  """Checks a configuration and freezes it.

  Args:
    config: a `Config`, or the `Inference` part of one. Conditions between
      fields are checked for a `Config` alone.

  Raises:
    ValueError: naming the first bad field, its value and the remedy.
  """
  for path, value, field in fields(config):
    limit = field.metadata.get("limit")
    if not _is_a(value, field.type):
      name = getattr(field.type, "__name__", field.type)
      raise ValueError(f"{path} is {value!r}; use a value of type {name}")
    if limit and not limit.holds(value):
      raise ValueError(f"{path} is {value!r}; {limit.remedy}")
  for holds, path, remedy in relations(config):
    if not holds:
      value = functools.reduce(getattr, path.split("."), config)
      raise ValueError(f"config.{path} is {value!r}; {remedy}")
  _freeze(config)


def _is_a(value: Any, kind: Any) -> bool:
  """Whether a value has a field's type; whole numbers are floats, too."""
  kind = typing.get_origin(kind) or kind
  if isinstance(value, bool) or kind is bool:
    return isinstance(value, bool) and kind is bool
  return isinstance(value, (int, float) if kind is float else kind)


def _freeze(part: Section) -> None:
  for value in vars(part).values():
    if isinstance(value, Section):
      _freeze(value)
  vars(part)["_frozen"] = True


def relations(config: Any) -> _Rules:
  """Yields the conditions that the fields of a `Config` satisfy together."""
  if hasattr(config, "data"):  # The inference part has no such conditions.
    yield from _of_data(config)
    yield from _of_model(config)
    yield from _of_training(config)


def _of_data(config: Any) -> _Rules:
  data, custom = config.data, config.data.custom
  yield (
    data.name == "custom_log" or not data.events + data.items,
    "data.events" if data.events else "data.items",
    'leave data.events and data.items empty, or set data.name="custom_log"',
  )
  types = ("number", "vector", "text", "category", "title", "ignore")
  parts = [part for part in custom.column_types.split(",") if part.strip()]
  given = [part.rpartition(":")[2].strip() for part in parts]
  yield (
    {*given} <= {*types},
    "data.custom.column_types",
    f'write "column:type,column:type" with the types {", ".join(types)}',
  )
  yield (
    given.count("title") <= 1,
    "data.custom.column_types",
    "give the type title to one column",
  )
  yield (
    bool(data.items or custom.item_columns) or not custom.column_types,
    "data.custom.column_types",
    "it describes item columns; name the files of an item table with "
    "data.items, or columns of the events with data.custom.item_columns",
  )
  yield (
    bool(custom.validation_from) == bool(custom.test_from),
    "data.custom.test_from",
    "give both data.custom.validation_from and data.custom.test_from, or none",
  )
  yield (
    ":text" in custom.column_types or not custom.text_embedder,
    "data.custom.text_embedder",
    'name the text column in data.custom.column_types, as "title:text"',
  )
  yield (
    config.decode.steps < data.sequence_length,
    "decode.steps",
    "use a number above 0 and below data.sequence_length "
    f"({data.sequence_length})",
  )


def _of_model(config: Any) -> _Rules:
  model, decode = config.model, config.decode
  for field, part in (
    ("hidden_dim", "num_heads"),
    ("embedding_dim", "num_hashes"),
  ):
    size = getattr(model, part)
    yield (
      getattr(model, field) % size == 0,
      f"model.{field}",
      f"use a multiple of model.{part} ({size})",
    )
  inputs = ("content", "actions", "context")
  yield (
    set(model.inputs) <= {*inputs},
    "model.inputs",
    f"list some of {', '.join(inputs)}",
  )
  yield (
    model.head != "state" or model.hidden_dim == model.embedding_dim,
    "model.head",
    f"use mlp or shift, or make model.hidden_dim ({model.hidden_dim}) and "
    f"model.embedding_dim ({model.embedding_dim}) equal",
  )
  yield (
    "content" in model.inputs or not model.id_dropout,
    "model.id_dropout",
    'use 0, or add "content" to model.inputs',
  )
  for field in ("budget", "surface", "item_type", "offsets"):
    yield (
      model.conditioned or not getattr(decode, field),
      f"decode.{field}",
      "leave it empty, or train with model.conditioned=True",
    )
  yield (
    model.conditioned or not config.evals.oracle_time,
    "evals.oracle_time",
    "use False, or train with model.conditioned=True",
  )


def _of_training(config: Any) -> _Rules:
  loss, train = config.loss, config.train
  negatives = loss.in_batch_negatives + loss.uniform_negatives
  yield (
    loss.full_softmax or negatives + loss.impression_negatives > 0,
    "loss.uniform_negatives",
    "draw at least one negative, here or by loss.in_batch_negatives",
  )
  yield (
    train.batch_size % train.grad_accumulation == 0,
    "train.grad_accumulation",
    f"use a divisor of train.batch_size ({train.batch_size})",
  )
  yield (
    not train.patience or not train.train_on_validation,
    "train.patience",
    "use 0, or train with train.train_on_validation=False: without a "
    "validation, no step is the best",
  )
  yield (
    not train.steps or train.warmup_steps < train.steps,
    "train.warmup_steps",
    f"use fewer than train.steps ({train.steps})",
  )
