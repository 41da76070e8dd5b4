"""A prepared log, opened for reading."""

import dataclasses
import importlib
import pathlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import filelock
import numpy as np
import tensorflow_datasets as tfds
import tqdm
from jaxtyping import Bool

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalogue as catalogue_lib
from pinrec_jax.data import cuts, packed, records, schema

BUILDERS = {
  "amazon": "pinrec_jax.data.amazon:Amazon",
  "kuairand": "pinrec_jax.data.kuairand:Kuairand",
  "movielens": "pinrec_jax.data.movielens:Movielens",
  "otto": "pinrec_jax.data.otto:Otto",
  "synthetic": "pinrec_jax.data.synthetic:Synthetic",
  "own_log": "pinrec_jax.data.own.log:OwnLog",
}


@dataclasses.dataclass(frozen=True)
class Dataset:
  """The catalogue, every user's events, and which of them are predicted."""

  name: str
  catalogue: catalogue_lib.Catalogue
  users: tuple[str, ...]
  events: Sequence[schema.Events]
  folder: pathlib.Path = pathlib.Path()  # of the prepared form
  aim: schema.Aim = schema.EVERYTHING
  # Items that training never sees, if some are to be.
  withheld: Bool[np.ndarray, "v"] | None = None

  @property
  def vocabulary(self) -> schema.Vocabulary:
    """The names of the log's integers."""
    return self.catalogue.vocabulary

  @property
  def items(self) -> schema.Items:
    """The item table."""
    return self.catalogue.items


def prepare(config: config_lib.Data) -> tfds.core.DatasetBuilder:
  """Returns the log's builder, writing the prepared form if it is absent.

  Raises:
    ConnectionError: if raw files are neither given nor can be downloaded.
    FileNotFoundError: if a raw file is missing.
    ValueError: if the name is unknown or a raw file is corrupt.
  """
  name, _, variant = config.name.partition("/")
  if name not in BUILDERS:
    raise ValueError(
      f"data.name {config.name!r} is unknown; choose from {list(BUILDERS)}"
    )
  module, _, class_name = BUILDERS[name].partition(":")
  builder_class = getattr(importlib.import_module(module), class_name)
  if variant not in (builder_class.builder_configs or [""]):
    raise ValueError(
      f"data.name {config.name!r} is unknown; choose from "
      f"{[f'{name}/{v}' for v in builder_class.builder_configs]}"
    )
  root = pathlib.Path(config.prepared).expanduser()
  root /= builder_class.contents(config)
  root.mkdir(parents=True, exist_ok=True)
  # Runs started together prepare a log once.
  with filelock.FileLock(root / f"{name}-{variant}.lock"):
    builder = builder_class(
      data=config, config=variant or None, data_dir=str(root)
    )
    builder.download_and_prepare(
      # A folder of its own, so that nobody else's half a download lies there.
      download_dir=str(root / "downloads" / f"{name}-{variant}"),
      download_config=_pipeline(config),
    )
  return builder


def _pipeline(config: config_lib.Data) -> tfds.download.DownloadConfig | None:
  """Returns the options of the pipeline that prepares a log, if one is to.

  Raises:
    ValueError: if the log cannot be prepared so, or Apache Beam is missing.
  """
  if not config.beam:
    return None
  if config.name != "own_log":
    raise ValueError(
      f"config.data.beam is {config.beam!r} and data.name {config.name!r}; "
      "only own_log is prepared by a pipeline: leave data.beam empty"
    )
  try:
    from apache_beam.options import pipeline_options
  except ImportError as error:
    raise ValueError(
      f"config.data.beam is {config.beam!r} and Apache Beam is not installed; "
      "install pinrec-jax[beam] (EXTRAS=beam for the launch scripts)"
    ) from error
  options = pipeline_options.PipelineOptions(shlex.split(config.beam))
  return tfds.download.DownloadConfig(beam_options=options)


def load(config: config_lib.Data) -> Dataset:
  """Prepares a log if need be and reads it.

  Raises:
    ConnectionError: if raw files are neither given nor can be downloaded.
    FileNotFoundError: if a raw file is missing.
    ValueError: on a log, a surface or an outcome that there is not, or a
      corrupt file.
  """
  builder = prepare(config)
  folder = pathlib.Path(builder.data_dir)
  known = catalogue_lib.load(folder)
  aim = known.vocabulary.aim(config.surface, config.outcomes)
  with filelock.FileLock(f"{folder}.lock"):
    if not packed.saved(folder):
      packed.save(folder, _read(builder))
  users, events = packed.load(folder)
  known, events = cuts.changed(known, events, config)
  if config.vectors:
    known = known.with_vectors(pathlib.Path(config.vectors).expanduser())
  left_out = cuts.withheld(known, config)
  return Dataset(config.name, known, users, events, folder, aim, left_out)


def _read(
  builder: tfds.core.DatasetBuilder,
) -> Iterator[tuple[str, schema.Events]]:
  """Yields the users and their events from the records."""
  # The decorator of TFDS hides the parameter from the type checker.
  opened: Any = builder.as_data_source
  total = sum(split.num_examples for split in builder.info.splits.values())
  with tqdm.tqdm(total=total, desc="reading users", unit="user") as bar:
    for name in sorted(builder.info.splits):
      for example in opened(name):
        yield example["user"].decode(), records.events(example)
        bar.update()
