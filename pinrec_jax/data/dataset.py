"""A prepared log, opened for reading."""

import contextlib
import dataclasses
import hashlib
import importlib
import pathlib
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import filelock

from pinrec_jax import config as config_lib
from pinrec_jax.buckets import addresses, prepared_log
from pinrec_jax.data import (
  catalog as catalog_lib,
)
from pinrec_jax.data import (
  item_vectors,
  schema,
  segments,
  sources,
  splits,
  store,
)
from pinrec_jax.data.custom import inputs

CUSTOM = "custom_log"
BUILDERS = {
  "amazon": "pinrec_jax.data.amazon:Amazon",
  "kuairand": "pinrec_jax.data.kuairand:Kuairand",
  "movielens": "pinrec_jax.data.movielens:Movielens",
  "otto": "pinrec_jax.data.otto:Otto",
  "synthetic": "pinrec_jax.data.synthetic:Synthetic",
  CUSTOM: "",
}


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A prepared log.

  Attributes:
    name: as in `data.name`.
    catalog: the items, and the names behind the log's integers.
    users: ids of the users, sorted.
    events: the events of each user.
    folder: of the prepared form.
    aim: which engagements are predicted.
  """

  name: str
  catalog: catalog_lib.Catalog
  users: tuple[str, ...]
  events: Sequence[schema.Events]
  folder: pathlib.Path = pathlib.Path()
  aim: schema.Aim = schema.EVERYTHING

  @property
  def vocabulary(self) -> schema.Vocabulary:
    """The names of the log's integers."""
    return self.catalog.vocabulary

  @property
  def items(self) -> schema.Items:
    """The item table."""
    return self.catalog.items


def prepare(config: config_lib.Data) -> pathlib.Path:
  """Returns the folder of the prepared form, and writes it if it is absent.

  A damaged prepared form is replaced.

  Raises:
    ConnectionError: if raw files are neither given nor can be downloaded.
    FileNotFoundError: if a raw file is missing.
    ValueError: if the name is unknown or a raw file is corrupt.
  """
  return _prepared(config, *_source(config))


def append(config: config_lib.Data, earlier: pathlib.Path) -> pathlib.Path:
  """Returns the folder of a custom log that has grown.

  Only new files are read. The folder has the events of these files, in the
  codes of the earlier log, and the whole catalog. The folders of earlier days
  stay as they are.

  Args:
    config: of the data.
    earlier: folder of the log so far. It is returned if nothing is new.

  Raises:
    FileNotFoundError: if a file or the earlier log is missing.
    ValueError: if an earlier file has changed, or a new one cannot be read.
  """
  # Imported here, because only a log that is prepared needs DuckDB.
  from pinrec_jax.data.custom import log

  contents, place, _ = _source(config)
  known = inputs.load(earlier) if _is_there(earlier) else None
  if known is None:
    raise FileNotFoundError(
      f"the prepared log {earlier} is missing; train a new run, with another "
      "--workdir"
    )
  if not inputs.new_files(config, known):
    return earlier
  before = log.Earlier(earlier, known, catalog_lib.load(earlier))

  def _write(root: pathlib.Path) -> None:
    log.write(config, root / CUSTOM, before)

  return _prepared(config, contents, place, _write)


def _prepared(
  config: config_lib.Data,
  contents: list[Any],
  place: str,
  write: Callable[[pathlib.Path], Any],
) -> pathlib.Path:
  """Returns the folder of a prepared form, and writes it if it is absent."""
  if addresses.is_address(config.prepared_dir):
    root = addresses.local(config.prepared_dir)
  else:
    root = sources.path(config.prepared_dir, "prepared_dir")
  if contents:
    root /= hashlib.sha256(repr(contents).encode()).hexdigest()[:12]
  root.mkdir(parents=True, exist_ok=True)
  folder = root / place
  # Runs started together prepare a log once.
  with filelock.FileLock(root / f"{config.name.replace('/', '-')}.lock"):
    try:
      if _is_there(folder):
        return folder
    except store.DamagedError as error:
      print(error, file=sys.stderr)
      shutil.rmtree(folder)
    _sweep(folder)
    print(f"preparing {config.name} in {folder}", file=sys.stderr)
    with _stoppable():
      write(root)
    prepared_log.push(folder, store.MANIFEST)
  return folder


def _is_there(folder: pathlib.Path) -> bool:
  """Whether a prepared log is complete. If it is in a bucket, it is fetched.

  Raises:
    DamagedError: naming a damaged file.
    OSError: naming the address, if it cannot be read or written.
  """
  try:
    if store.is_finished(folder):
      prepared_log.push(folder, store.MANIFEST)  # It may have failed before.
      return True
  except store.DamagedError as error:
    if not addresses.of(folder):
      raise
    print(error, file=sys.stderr)  # The bucket may have a good one.
    shutil.rmtree(folder)
  if not prepared_log.fetch(folder, store.MANIFEST):
    return False
  try:
    store.check(folder)
  except store.DamagedError:
    prepared_log.drop(folder, store.MANIFEST)
    raise
  return True


def _source(
  config: config_lib.Data,
) -> tuple[list[Any], str, Callable[[pathlib.Path], Any]]:
  """Returns what a prepared form depends on, its place, and how to write it.

  Raises:
    ValueError: if the name of the log is unknown.
  """
  name, _, variant = config.name.partition("/")
  if name not in BUILDERS:
    raise ValueError(
      f"data.name {config.name!r} is unknown; choose from {list(BUILDERS)}"
    )
  if config.beam_options and name != CUSTOM:
    raise ValueError(
      f"config.data.beam_options is {config.beam_options!r} and data.name is "
      f"{config.name!r}; only {CUSTOM} is prepared by a pipeline, so leave "
      "data.beam_options empty"
    )
  variants: Any = [""]
  builder_class: Any = None
  if name != CUSTOM:
    module, _, class_name = BUILDERS[name].partition(":")
    builder_class = getattr(importlib.import_module(module), class_name)
    variants = builder_class.builder_configs or variants
  if variant not in variants:
    known = [f"{name}/{known}" if known else name for known in variants]
    raise ValueError(
      f"data.name {config.name!r} is unknown; choose from {known}"
    )

  def _write(root: pathlib.Path) -> None:
    if name == CUSTOM:
      # Imported here, because only a log that is prepared needs DuckDB.
      from pinrec_jax.data.custom import log

      log.write(config, root / CUSTOM)
    else:
      from pinrec_jax.data import tfds_builder

      tfds_builder.prepare(builder_class, config, root)

  if name == CUSTOM:
    from pinrec_jax.data.custom import events

    return events.contents(config), CUSTOM, _write
  place = f"{config.name}/{builder_class.VERSION}"
  return builder_class.contents(config), place, _write


def _sweep(folder: pathlib.Path) -> None:
  """Deletes what a killed process left behind. Its lock must be held."""
  left = [*folder.parent.glob("*incomplete*"), *folder.glob(".*")]
  for path in [*left, *folder.parent.glob(f".{folder.name}-*")]:
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
  """Lets SIGTERM end the process as Ctrl-C does, so that files are deleted."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, before)


def load(config: config_lib.Data) -> Dataset:
  """Prepares a log if need be and opens it.

  Raises:
    ConnectionError: if raw files are neither given nor can be downloaded.
    FileNotFoundError: if a raw file is missing.
    ValueError: on an unknown log, surface or outcome, or a corrupt file.
  """
  folder = prepare(config)
  try:
    return opened(config, folder)
  except store.DamagedError as error:
    print(error, file=sys.stderr)
    (folder / store.MANIFEST).unlink(missing_ok=True)
    return opened(config, prepare(config))


def opened(config: config_lib.Data, folder: pathlib.Path) -> Dataset:
  """Opens a prepared log.

  Args:
    config: says what is predicted, and how the log is split.
    folder: of the prepared log.

  Raises:
    FileNotFoundError: if the file of item vectors is missing.
    ValueError: on an unknown surface or outcome, or a corrupt file.
  """
  users, events = _stores(folder)
  known = catalog_lib.load(folder)
  aim = known.vocabulary.aim(config.target_surface, config.target_outcomes)
  known, events = splits.changed(known, events, config)
  if config.item_vectors:
    path = sources.path(config.item_vectors, "item_vectors")
    known = item_vectors.added(known, path)
  return Dataset(config.name, known, users, events, folder, aim)


def _stores(
  folder: pathlib.Path,
) -> tuple[tuple[str, ...], Sequence[schema.Events]]:
  """Returns the users of a prepared form and their events."""
  read = inputs.load(folder)
  if read is None:
    return store.load(folder)
  earlier = [folder / name for name in read.earlier]
  for one in earlier:
    if addresses.of(one):
      _is_there(one)
  return segments.load([*earlier, folder], daily=read.daily)
