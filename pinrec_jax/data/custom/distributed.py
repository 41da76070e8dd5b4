"""The preparation of a user's own log as an Apache Beam pipeline.

The steps are those of `log.CustomLog.raw`: a file is read by one worker, a part of
the users is kept in order by one worker, and what was counted is added up.
"""

import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam import pvalue

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog, readers, records, row_errors
from pinrec_jax.data.custom import census, columns, events, parts

Pieces = Iterable[columns.Frame]
Whole = tuple[columns.Frame, census.Census]
Found = tuple[census.Described, catalog.Catalog]


class Users(beam.PTransform):
  """From files to (key, example), one a user."""

  def __init__(self, config: config_lib.Data, folder: str, now: float):
    """Says what to read.

    Args:
      config: as for `log.CustomLog`.
      folder: where the catalog and the faults are written, seen by all
        workers.
      now: unix seconds.
    """
    super().__init__()
    self._config, self._folder, self._now = config, folder, now

  def expand(self, input_or_inputs: Any) -> pvalue.PCollection:
    """Adds the steps to a pipeline."""
    pipeline, config = input_or_inputs, self._config
    paths = readers.files(config.events, "events")
    before = census.starts(config.custom).get("validation_from", 0)
    count = parts.how_many(paths)
    read = (
      pipeline
      | "files" >> beam.Create(list(enumerate(map(str, paths))))
      | "spread" >> beam.Reshuffle()
      | "rows"
      >> beam.FlatMap(_read, config.custom, self._now, count).with_outputs(
        "faults", main="parts"
      )
    )
    whole = (
      read.parts
      | "parts" >> beam.GroupByKey()
      | "users"
      >> beam.Map(_whole, config.custom, [p.name for p in paths], before)
    )
    listed = (
      pipeline
      | "tables" >> beam.Create([config])
      | "items" >> beam.Map(census.table)
    )
    counted = (
      (
        read.faults | "of rows" >> beam.Map(census.Census),
        whole | "of users" >> beam.Map(_second),
      )
      | "all" >> beam.Flatten()
      | "sum" >> beam.CombineGlobally(_sum)
    )
    known = counted | "catalog" >> beam.Map(
      _catalogd, pvalue.AsSingleton(listed), config, self._folder
    )
    return whole | "examples" >> beam.FlatMap(
      _examples, pvalue.AsSingleton(known)
    )


def _read(
  file: tuple[int, str], own: config_lib.Custom, now: float, count: int
) -> Iterator[Any]:
  """Yields a file's good rows by their part, and its faults."""
  place, path = file
  for good, faults in events.read(pathlib.Path(path), place, own, now):
    yield pvalue.TaggedOutput("faults", faults)
    yield from parts.divided(good, count)


def _whole(
  part: tuple[int, Pieces],
  own: config_lib.Custom,
  files: Sequence[str],
  before: int,
) -> Whole:
  """Returns the log of a part's users and its census."""
  log, faults = events.whole(parts.joined(part[1]), own, files)
  return log, census.taken(log, faults, before)


def _second(whole: Whole) -> census.Census:
  return whole[1]


def _sum(found: Iterable[census.Census]) -> census.Census:
  return sum(found, census.Census())


def _catalogd(
  found: census.Census,
  listed: tuple[columns.Frame, row_errors.RowErrors],
  config: config_lib.Data,
  folder: str,
) -> Found:
  """Writes and returns what the log's integers mean."""
  table, faults = listed
  row_errors.some_good(found.faults, config.events, "events")
  found = found + census.Census(faults)
  wrong = census.settled(found, table, config)
  log = census.described(found, table, config)
  known = log.catalog(config.custom)
  known.save(pathlib.Path(folder))
  wrong.save(pathlib.Path(folder))
  return log, known


def _examples(
  whole: Whole, found: Found
) -> Iterator[tuple[str, dict[str, Any]]]:
  log, known = found
  yield from records.examples(log.numbered(whole[0]), known)
