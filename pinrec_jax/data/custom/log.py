"""The builder of a user's own log."""

import contextlib
import pathlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from pinrec_jax import config as config_lib
from pinrec_jax.data import readers, row_errors, tfds_builder
from pinrec_jax.data.custom import census, columns, events, parts


class CustomLog(tfds_builder.Builder):
  """A log of your own, split by time or by each user's last.

  Rows are checked as they are read and divided by user on disk; only one part
  of the log, and what is counted of it, is ever in memory.
  """

  VERSION = tfds.core.Version("1.2.0")
  ORIGIN = "a log of your own"
  ABOUT = {"description": "A log of your own."}

  @property
  def actions(self) -> tuple[str, ...]:
    """The names in the configuration."""
    return tuple(events.names(self.data.custom)[1])

  @classmethod
  def contents(cls, data: config_lib.Data) -> str:
    """Names the contents of the files, and how they are read."""
    if not data.events:
      raise ValueError(
        "config.data.events is empty; give a file, a folder or a pattern"
      )
    paths = readers.files(data.events, "events")
    paths += readers.files(data.items, "items") if data.items else []
    return tfds_builder.fingerprint(paths, data.custom, data.max_bad_fraction)

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    if not self.data.beam_options:
      return super()._split_generators(dl_manager)
    # Only here, so that nothing else needs Apache Beam.
    from pinrec_jax.data.custom import distributed

    users = distributed.Users(self.data, str(self.data_path), time.time())
    return {"users": users}

  def raw(self) -> tfds_builder.Raw:
    """Reads the files that the configuration names."""
    config, own = self.data, self.data.custom
    before = census.starts(own).get("validation_from", 0)
    listed, listed_faults = census.table(config)
    paths = readers.files(config.events, "events")
    files, count = [path.name for path in paths], parts.how_many(paths)
    with contextlib.ExitStack() as stack:
      # Beside what is prepared, where there should be room.
      place = pathlib.Path(config.prepared_dir).expanduser()
      made = tempfile.TemporaryDirectory(dir=place, prefix="rows-")
      shelf = pathlib.Path(stack.enter_context(made))
      rows = parts.Parts(shelf / "rows", count)
      users = parts.Parts(shelf / "users", count)
      faults: list[row_errors.RowErrors] = []
      rows.write(_good(paths, own, faults))
      of_rows = sum(faults, row_errors.RowErrors())
      row_errors.some_good(of_rows, config.events, "events")
      found = census.Census(listed_faults + of_rows)
      found.faults.check(config.max_bad_fraction)
      users.write(_whole(rows, own, files, before, found))
      log = census.described(found, listed, config)
      wrong = census.settled(found, listed, config)
      kept = stack.pop_all()
    groups = users.groups(parts.GROUP)
    logs = [_numbered(users.read(group), log) for group in groups]
    logs[-1] = _closing(kept, logs[-1])
    return tfds_builder.Raw(
      logs,
      log.items,
      log.candidates,
      log.names,
      wrong,
    )


def _good(
  paths: Sequence[pathlib.Path],
  own: config_lib.Custom,
  faults: list[row_errors.RowErrors],
) -> Iterator[columns.Frame]:
  """Yields the good rows of files, and adds what was wrong with others."""
  now = time.time()
  with tqdm.tqdm(desc="reading rows", unit="row", unit_scale=True) as bar:
    for place, path in enumerate(paths):
      for good, wrong in events.read(path, place, own, now):
        faults.append(wrong)
        bar.update(wrong.rows)
        yield good


def _whole(
  rows: parts.Parts,
  own: config_lib.Custom,
  files: Sequence[str],
  before: int,
  found: census.Census,
) -> Iterator[columns.Frame]:
  """Yields the logs of some users each, and adds the census of each."""
  for part in tqdm.tqdm(rows, desc="reading users", unit="part"):
    log, wrong = events.whole(part, own, files)
    found.include(census.taken(log, wrong, before))
    yield log


def _numbered(
  parts_of_users: Iterable[columns.Frame], log: census.Described
) -> Iterator[columns.Frame]:
  """Yields the logs as they are prepared."""
  for part in parts_of_users:
    yield log.numbered(part)


def _closing(
  kept: contextlib.ExitStack, last: Iterator[columns.Frame]
) -> Iterator[columns.Frame]:
  """Yields the last logs and lets go of what all were read from."""
  with kept:
    yield from last
