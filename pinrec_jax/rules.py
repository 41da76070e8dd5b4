"""What makes a configuration valid."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from pinrec_jax import config as config_lib

# Whether it holds, the field to name if not, and the remedy.
_Rules = Iterator[tuple[bool, str, str]]


def validate(config: config_lib.Config) -> None:
  """Raises ValueError naming the first field that cannot be."""
  for path, value, field in _fields(config, ""):
    if field.metadata and not field.metadata["holds"](value):
      raise ValueError(f"config{path} is {value!r}; {field.metadata['remedy']}")
  for holds, path, remedy in (*_of_data(config), *_of_model(config)):
    if not holds:
      value = functools.reduce(getattr, path.split("."), config)
      raise ValueError(f"config.{path} is {value!r}; {remedy}")


def require_folder(workdir: pathlib.Path) -> None:
  """Raises ValueError for an address such as gs://bucket/run."""
  if re.match("[a-z0-9]+:/", str(workdir)):
    raise ValueError(
      f"the work folder {str(workdir)!r} is an address; mount the bucket, and "
      "give the folder it is mounted at"
    )


def _fields(
  part: Any, path: str
) -> Iterator[tuple[str, Any, dataclasses.Field]]:
  """Yields the path, the value and the declaration of every field."""
  for field in dataclasses.fields(part):
    value, own = getattr(part, field.name), f"{path}.{field.name}"
    if dataclasses.is_dataclass(value):
      yield from _fields(value, own)
    else:
      yield own, value, field


def _of_data(config: config_lib.Config) -> _Rules:
  """Yields what fields must be to each other, of the log and what is told."""
  data = config.data
  yield (
    data.name == "own_log" or not data.events + data.items,
    "data.events" if data.events else "data.items",
    'leave data.events and data.items out, or set data.name="own_log"',
  )
  own = data.own
  for field in ("numbers", "vector", "text", "embed", "ignore"):
    yield (
      bool(data.items) or not getattr(own, field),
      f"data.own.{field}",
      "it is of the items; name their files with data.items",
    )
  yield (
    bool(own.text) or not own.embed,
    "data.own.embed",
    "name the column of texts with data.own.text",
  )
  yield (
    data.synthetic.items >= 2 * data.synthetic.topics,
    "data.synthetic.items",
    f"use two or more a topic ({data.synthetic.topics})",
  )
  yield (
    config.decode.steps < data.length,
    "decode.steps",
    f"use a number above 0 and below data.length ({data.length})",
  )


def _of_model(config: config_lib.Config) -> _Rules:
  """Yields what fields must be to each other, of the model and its training."""
  model, loss, decode = config.model, config.loss, config.decode
  for field, part in (("width", "heads"), ("dim", "hashes")):
    size = getattr(model, part)
    yield (
      getattr(model, field) % size == 0,
      f"model.{field}",
      f"use a multiple of model.{part} ({size})",
    )
  yield (
    model.head != "state" or model.width == model.dim,
    "model.head",
    f"use mlp or shift, or make model.width ({model.width}) and model.dim "
    f"({model.dim}) the same",
  )
  yield (
    model.content or not model.id_dropout,
    "model.id_dropout",
    "use 0, or set model.content=True",
  )
  yield (
    0 < loss.sketch_keep <= 1,
    "loss.sketch_keep",
    "use a number above 0 and up to 1",
  )
  yield (
    loss.full or loss.in_batch + loss.uniform + loss.impressions > 0,
    "loss.uniform",
    "draw at least one negative, here or by loss.in_batch",
  )
  yield (
    loss.sketch_columns > 1 and loss.sketch_columns.bit_count() == 1,
    "loss.sketch_columns",
    "use a power of two",
  )
  for field in ("budget", "surface", "item_type", "offsets"):
    yield (
      model.conditioned or not getattr(decode, field),
      f"decode.{field}",
      "leave it out, or train with model.conditioned=True",
    )
  yield (
    model.conditioned or not config.evals.told_time,
    "evals.told_time",
    "use False, or train with model.conditioned=True",
  )
  train = config.train
  yield (
    train.batch % train.accumulate == 0,
    "train.accumulate",
    f"use a divisor of train.batch ({train.batch})",
  )
  yield (
    train.warmup < train.steps,
    "train.warmup",
    f"use fewer than train.steps ({train.steps})",
  )
