"""What every builder shares: raw files in, one example a user out."""

import abc
import hashlib
import pathlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from jaxtyping import Shaped

from pinrec_jax import config as config_lib
from pinrec_jax.data import archives, catalog, records, row_errors


class Raw(NamedTuple):
  """A log as its files hold it."""

  # As for `records.examples`; a user is in one table. Each of the logs becomes
  # a split, which is in memory when it is written: TFDS sorts it, and from a
  # gigabyte on it would need TensorFlow.
  logs: Sequence[Iterable[pd.DataFrame]]
  items: pd.DataFrame  # as for `catalog.encode`
  candidates: Shaped[np.ndarray, "c"]  # ids that may be recommended
  names: Mapping[str, Any]  # what else the vocabulary needs
  faults: row_errors.RowErrors  # rows that were left out


class Builder(tfds.core.GeneratorBasedBuilder, abc.ABC, skip_registration=True):
  """A log read from a folder: one example a user, all events in order."""

  ACTIONS: ClassVar[tuple[str, ...]]
  ORIGIN: ClassVar[str]  # whose files the folder holds, for errors
  ABOUT: ClassVar[Mapping[str, str]]  # homepage, licence, citation
  # If no folder is given, a config's archive is fetched; one without an
  # archive reads what is embedded.
  ARCHIVES: ClassVar[Mapping[str, archives.Archive]] = {}
  EMBEDDED: ClassVar[pathlib.Path | None] = None

  def __init__(self, *, data: config_lib.Data, **kwargs: Any):
    self.data = data
    self._fetched: pathlib.Path | None = None
    super().__init__(file_format="array_record", **kwargs)

  @classmethod
  def contents(cls, data: config_lib.Data) -> str:
    """Names the contents of the files read; empty if no folder is given.

    Raises:
      FileNotFoundError: if a file or folder is missing.
    """
    if not data.source:
      return ""
    source = pathlib.Path(data.source).expanduser()
    if not source.is_dir():
      raise FileNotFoundError(
        f"data.source {data.source!r} is not a folder; point it at the raw "
        f"files of {data.name}"
      )
    return fingerprint(p for p in source.iterdir() if p.is_file())

  @property
  def actions(self) -> tuple[str, ...]:
    """The names of the actions, those that can be aimed at first."""
    return self.ACTIONS

  @property
  def source(self) -> pathlib.Path:
    """The folder to read.

    Raises:
      ValueError: if none is given, fetched or embedded.
    """
    if self.data.source:
      return pathlib.Path(self.data.source).expanduser()
    found = self._fetched or self.EMBEDDED
    if found is None:
      raise ValueError(
        f"data.source is empty; point it at a folder with {self.ORIGIN}"
      )
    return found

  @abc.abstractmethod
  def raw(self) -> Raw:
    """Reads the files."""

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=records.features(len(self.actions)), **self.ABOUT
    )

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, Iterator]:
    variant = self.builder_config.name if self.builder_config else ""
    if not self.data.source and variant in self.ARCHIVES:
      self._fetched = archives.fetch(self.ARCHIVES[variant], dl_manager)
    try:
      logs, items, candidates, names, faults = self.raw()
    except KeyError as error:
      if not self.data.source:
        raise
      raise ValueError(
        f"a table in {self.source} lacks the column {error}; point data.source "
        f"at {self.ORIGIN}"
      ) from error
    known = catalog.encode(items, candidates, actions=self.actions, **names)
    known.save(pathlib.Path(self.data_path))
    faults.save(pathlib.Path(self.data_path))
    examples = [self._generate_examples(log, known) for log in logs]
    if len(examples) == 1:
      return {"users": examples[0]}
    return {f"users_{n:04}": some for n, some in enumerate(examples)}

  def _generate_examples(
    self, log: Iterable[pd.DataFrame], known: catalog.Catalog
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in log:
      yield from records.examples(part, known)


def fingerprint(files: Iterable[pathlib.Path], *more: object) -> str:
  """Names files by their names, sizes and times, and what else is given."""
  told = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
  return hashlib.sha256(repr([sorted(told), *more]).encode()).hexdigest()[:12]


def read(
  path: pathlib.Path, reader: Callable[[Any], pd.DataFrame]
) -> pd.DataFrame:
  """Returns a table.

  Args:
    path: of the file; a SHA256SUMS beside it is checked.
    reader: of its format.

  Raises:
    FileNotFoundError: if it is missing.
    ValueError: if it is corrupt.
  """
  sums = path.with_name("SHA256SUMS")
  if not path.is_file():
    raise FileNotFoundError(
      f"data file {path} is missing; point data.source at a folder that has it"
    )
  if sums.is_file():
    expected = dict(
      line.split()[::-1] for line in sums.read_text().splitlines()
    )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected.get(path.name, found) != found:
      raise ValueError(
        f"data file {path} is corrupt: its sha256 is {found}, {sums} says "
        f"{expected[path.name]}; copy it again"
      )
  try:
    return reader(path)
  except (OSError, ValueError, EOFError, zlib.error) as error:
    raise ValueError(
      f"data file {path} is corrupt: {error}; copy it again"
    ) from error
