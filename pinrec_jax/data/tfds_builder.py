"""The base of all TFDS builders: raw files in, one example a user out."""

import abc
import contextlib
import hashlib
import io
import pathlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
import tqdm
from jaxtyping import Shaped

from pinrec_jax import config as config_lib
from pinrec_jax.data import (
  archives,
  catalog,
  records,
  row_errors,
  sources,
  store,
)


class Raw(NamedTuple):
  """A log as its files hold it.

  Attributes:
    logs: tables for `records.examples`; a user is in one of them. Each log
      becomes a TFDS split, which is in memory while it is written. TFDS needs
      TensorFlow to sort a split of more than a gigabyte.
    items: as for `catalog.encode`.
    candidates: ids of the items that may be recommended.
    names: the other fields of the vocabulary.
    errors: rows that were left out.
  """

  logs: Sequence[Iterable[pd.DataFrame]]
  items: pd.DataFrame
  candidates: Shaped[np.ndarray, "c"]
  names: Mapping[str, Any]
  errors: row_errors.RowErrors


class Builder(tfds.core.GeneratorBasedBuilder, abc.ABC, skip_registration=True):
  """A log read from a folder: one example a user, all events in order.

  Attributes:
    ACTIONS: names of the actions, those that can be predicted first.
    ORIGIN: the files of the folder, for errors.
    ABOUT: homepage, licence and citation.
    ARCHIVES: the downloads of each variant, for when no folder is given.
    EMBEDDED: folder that is read if no folder is given and there is no archive.
  """

  ACTIONS: ClassVar[tuple[str, ...]]
  ORIGIN: ClassVar[str]
  ABOUT: ClassVar[Mapping[str, str]]
  ARCHIVES: ClassVar[Mapping[str, archives.Archive]] = {}
  EMBEDDED: ClassVar[pathlib.Path | None] = None

  def __init__(
    self, *, data: config_lib.Data, source: pathlib.Path | None, **kwargs: Any
  ):
    self.data, self._source = data, source
    super().__init__(file_format="array_record", **kwargs)

  @classmethod
  def contents(cls, data: config_lib.Data) -> list[Any]:
    """Returns what the prepared form depends on; nothing without a folder.

    Raises:
      FileNotFoundError: if a file or folder is missing.
    """
    if not data.source:
      return []
    source = sources.path(data.source, "source")
    if not source.is_dir():
      raise FileNotFoundError(
        f"data.source {data.source!r} is not a folder; set it to the folder of "
        f"the raw files of {data.name}"
      )
    return sources.stamps(p for p in source.iterdir() if p.is_file())

  @property
  def source(self) -> pathlib.Path:
    """The folder to read.

    Raises:
      ValueError: if none is given, downloaded or embedded.
    """
    found = self._source or self.EMBEDDED
    if found is None:
      raise ValueError(
        f"data.source is empty; set it to a folder with {self.ORIGIN}"
      )
    return found

  @abc.abstractmethod
  def raw(self) -> Raw:
    """Reads the files."""

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=records.features(len(self.ACTIONS)), **self.ABOUT
    )

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, Iterator]:
    del dl_manager  # `prepare` downloads.
    try:
      logs, items, candidates, names, errors = self.raw()
    except KeyError as error:
      if not self.data.source:
        raise
      raise ValueError(
        f"a table in {self.source} lacks the column {error}; set data.source "
        f"to a folder with {self.ORIGIN}"
      ) from error
    known = catalog.encode(items, candidates, actions=self.ACTIONS, **names)
    known.save(pathlib.Path(self.data_path))
    errors.save(pathlib.Path(self.data_path))
    examples = [self._generate_examples(log, known) for log in logs]
    if len(examples) == 1:
      return {"users": examples[0]}
    return {f"users_{n:04}": some for n, some in enumerate(examples)}

  def _generate_examples(
    self, log: Iterable[pd.DataFrame], known: catalog.Catalog
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in log:
      yield from records.examples(part, known)


def prepare(
  builder_class: type[Builder],
  data: config_lib.Data,
  root: pathlib.Path,
) -> pathlib.Path:
  """Writes a log as a TFDS data set, and its events as a store.

  Args:
    builder_class: of the log.
    data: names the variant and the folder of the raw files.
    root: of all data sets that are prepared from these files.

  Returns:
    the folder of the data set.
  """
  name, _, variant = data.name.partition("/")
  source = sources.path(data.source, "source") if data.source else None
  known = builder_class.ARCHIVES
  if source is None and variant in known:
    downloads = root / "downloads" / f"{name}-{variant}"
    source = archives.fetch(known[variant], downloads)
  # TFDS prints sizes that it does not know, and draws bars.
  tfds.disable_progress_bar()
  with contextlib.redirect_stdout(io.StringIO()):
    builder = builder_class(
      data=data, source=source, config=variant or None, data_dir=str(root)
    )
    builder.download_and_prepare(download_dir=str(root / "downloads"))
  folder = pathlib.Path(builder.data_dir)
  store.save(folder, _users(builder))
  store.finish(folder)
  return folder


def _users(builder: Builder) -> Iterator[tuple[str, Any]]:
  """Yields the users and their events from the records."""
  # The decorator of TFDS hides the parameter from the type checker.
  opened: Any = builder.as_data_source
  total = sum(split.num_examples for split in builder.info.splits.values())
  with tqdm.tqdm(
    total=total, desc="reading users", unit="user", disable=None
  ) as bar:
    for name in sorted(builder.info.splits):
      for example in opened(name):
        yield example["user"].decode(), records.events(example)
        bar.update()


def read(
  path: pathlib.Path, reader: Callable[[Any], pd.DataFrame]
) -> pd.DataFrame:
  """Returns a table.

  Args:
    path: of the file. If SHA256SUMS is beside it, the file is checked.
    reader: of its format.

  Raises:
    FileNotFoundError: if it is missing.
    ValueError: if it is corrupt.
  """
  sums = path.with_name("SHA256SUMS")
  if not path.is_file():
    raise FileNotFoundError(
      f"data file {path} is missing; set data.source to a folder that has it"
    )
  if sums.is_file():
    expected = dict(
      line.split()[::-1]
      for line in sums.read_text(encoding="utf-8").splitlines()
    )
    with path.open("rb") as file:
      found = hashlib.file_digest(file, "sha256").hexdigest()
    if expected.get(path.name, found) != found:
      raise ValueError(
        f"data file {path} is corrupt: its SHA-256 digest is {found}, and "
        f"{sums} has {expected[path.name]}; copy it again"
      )
  try:
    return reader(path)
  except (OSError, ValueError, EOFError, zlib.error) as error:
    raise ValueError(
      f"data file {path} is corrupt: {error}; copy it again"
    ) from error
