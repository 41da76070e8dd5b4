"""A prepared log, opened for reading."""

import contextlib
import dataclasses
import importlib
import io
import pathlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import filelock
import tensorflow_datasets as tfds
import tqdm
from absl import logging

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import records, schema, splits, store

BUILDERS = {
  "amazon": "pinrec_jax.data.amazon:Amazon",
  "kuairand": "pinrec_jax.data.kuairand:Kuairand",
  "movielens": "pinrec_jax.data.movielens:Movielens",
  "otto": "pinrec_jax.data.otto:Otto",
  "synthetic": "pinrec_jax.data.synthetic:Synthetic",
  "custom_log": "pinrec_jax.data.custom.log:CustomLog",
}


@dataclasses.dataclass(frozen=True)
class Dataset:
  """The catalog, every user's events, and which of them are predicted."""

  name: str
  catalog: catalog_lib.Catalog
  users: tuple[str, ...]
  events: Sequence[schema.Events]
  folder: pathlib.Path = pathlib.Path()  # of the prepared form
  aim: schema.Aim = schema.EVERYTHING

  @property
  def vocabulary(self) -> schema.Vocabulary:
    """The names of the log's integers."""
    return self.catalog.vocabulary

  @property
  def items(self) -> schema.Items:
    """The item table."""
    return self.catalog.items


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
  root = pathlib.Path(config.prepared_dir).expanduser()
  root /= builder_class.contents(config)
  root.mkdir(parents=True, exist_ok=True)
  # Runs started together prepare a log once.
  with filelock.FileLock(root / f"{name}-{variant}.lock"):
    builder = builder_class(
      data=config, config=variant or None, data_dir=str(root)
    )
    with _one_line(config.name, builder):
      builder.download_and_prepare(
        # A folder of its own, so that nobody else's half a download lies there.
        download_dir=str(root / "downloads" / f"{name}-{variant}"),
        download_config=_pipeline(config),
      )
  return builder


@contextlib.contextmanager
def _one_line(name: str, builder: tfds.core.DatasetBuilder) -> Iterator[None]:
  """Logs one line in place of what TFDS prints."""
  if not builder.is_prepared():
    logging.info(
      "preparing %s once, in %s; a large log takes minutes",
      name, builder.data_dir,
    )  # fmt: skip
  tfds.disable_progress_bar()
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    tfds.enable_progress_bar()


def _pipeline(config: config_lib.Data) -> tfds.download.DownloadConfig | None:
  """Returns the options of the pipeline that prepares a log, if one is to.

  Raises:
    ValueError: if the log cannot be prepared so, or Apache Beam is missing.
  """
  if not config.beam_options:
    return None
  if config.name != "custom_log":
    raise ValueError(
      f"config.data.beam_options is {config.beam_options!r} and data.name {config.name!r}; "
      "only custom_log is prepared by a pipeline: leave data.beam_options empty"
    )
  try:
    from apache_beam.options import pipeline_options
  except ImportError as error:
    raise ValueError(
      f"config.data.beam_options is {config.beam_options!r} and Apache Beam is not installed; "
      "install pinrec-jax[beam] (EXTRAS=beam for the launch scripts)"
    ) from error
  options = pipeline_options.PipelineOptions(shlex.split(config.beam_options))
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
  known = catalog_lib.load(folder)
  aim = known.vocabulary.aim(config.target_surface, config.target_outcomes)
  with filelock.FileLock(f"{folder}.lock"):
    if not store.saved(folder):
      store.save(folder, _read(builder))
  users, events = store.load(folder)
  known, events = splits.changed(known, events, config)
  if config.item_vectors:
    known = known.with_vectors(pathlib.Path(config.item_vectors).expanduser())
  return Dataset(config.name, known, users, events, folder, aim)


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
