"""A prepared log, opened for reading."""

import dataclasses
import importlib
import pathlib

import filelock
import tensorflow_datasets as tfds
import tqdm

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalogue as catalogue_lib
from pinrec_jax.data import packed, records, schema

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
  events: tuple[schema.Events, ...]
  folder: pathlib.Path = pathlib.Path()  # of the prepared form
  aim: schema.Aim = schema.EVERYTHING

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
    # A folder of its own, so that nobody else's half a download lies there.
    builder.download_and_prepare(
      download_dir=str(root / "downloads" / f"{name}-{variant}")
    )
  return builder


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
    found = packed.load(folder)
    if found is None:
      found = _read(builder)
      packed.save(folder, *found)
  if config.vectors:
    known = known.with_vectors(pathlib.Path(config.vectors).expanduser())
  return Dataset(config.name, known, *found, folder, aim)


def _read(
  builder: tfds.core.DatasetBuilder,
) -> tuple[tuple[str, ...], tuple[schema.Events, ...]]:
  """Returns the users, sorted, and their events from the records."""
  # The decorator of TFDS hides the parameter from the type checker.
  source = builder.as_data_source("users")  # pyright: ignore[reportCallIssue]
  read = [
    (example["user"].decode(), records.events(example))
    for example in tqdm.tqdm(source, desc="reading users", unit="user")
  ]
  read.sort(key=lambda user: user[0])
  return (
    tuple(user for user, _ in read),
    tuple(events for _, events in read),
  )
