"""What every builder shares: raw files in, one example a user out."""

import abc
import hashlib
import pathlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from jaxtyping import Shaped

from pinrec_jax.data import catalogue, records


class Raw(NamedTuple):
  """A log as its files hold it."""

  log: pd.DataFrame  # as for `records.examples`
  items: pd.DataFrame  # as for `catalogue.encode`
  candidates: Shaped[np.ndarray, "c"]  # ids that may be recommended
  names: Mapping[str, Any]  # what else the vocabulary needs


class Builder(tfds.core.GeneratorBasedBuilder, abc.ABC, skip_registration=True):
  """A log read from a folder: one example a user, all events in order."""

  ACTIONS: ClassVar[tuple[str, ...]]
  ORIGIN: ClassVar[str]  # whose files the folder holds, for errors
  ABOUT: ClassVar[Mapping[str, str]]  # homepage, licence, citation
  EMBEDDED: ClassVar[pathlib.Path | None] = None  # read if no folder is given

  def __init__(self, *, source: str = "", **kwargs: Any):
    self._source = pathlib.Path(source).expanduser() if source else None
    super().__init__(file_format="array_record", **kwargs)

  @abc.abstractmethod
  def raw(self, source: pathlib.Path) -> Raw:
    """Reads a folder's files."""

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=records.features(len(self.ACTIONS)), **self.ABOUT
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
    del dl_manager  # the files are local
    source = self._source or self.EMBEDDED
    if source is None:
      raise ValueError(
        f"data.source is empty; point it at a folder with {self.ORIGIN}"
      )
    try:
      log, items, candidates, names = self.raw(source)
    except KeyError as error:
      raise ValueError(
        f"a table in {source} lacks the column {error}; point data.source at "
        f"{self.ORIGIN}"
      ) from error
    known = catalogue.encode(items, candidates, actions=self.ACTIONS, **names)
    known.save(pathlib.Path(self.data_path))
    return {"users": self._generate_examples(log, known)}

  def _generate_examples(
    self, log: pd.DataFrame, known: catalogue.Catalogue
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from records.examples(log, known)


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
