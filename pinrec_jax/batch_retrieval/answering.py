"""Answers one shard, whole or not at all. Nothing here needs Apache Beam."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pinrec_jax.batch_retrieval import places, shards, tables
from pinrec_jax.buckets import work_folder
from pinrec_jax.inference import answers, engine


@dataclasses.dataclass(frozen=True)
class Task:
  """What a worker needs to know beside its shards.

  Attributes:
    workdir: of the run, a path or an address.
    bundle: folder of the bundle in it, so that all workers read the same one.
    changes: fields of the bundle's configuration to change, by path.
    budget: default of requests without a budget.
    output: folder of all lists, a path or an address.
  """

  workdir: str
  bundle: str
  changes: Mapping[str, Any]
  budget: str | None
  output: str


class Answerer:
  """A retriever that answers shards; the threads of a process share it."""

  def __init__(self, task: Task) -> None:
    """Reads the bundle.

    Raises:
      FileNotFoundError: if the bundle is gone.
      OSError: naming an address that cannot be read.
      ValueError: if the bundle is damaged.
    """
    place = work_folder.readable(task.workdir) / task.bundle
    self.retriever = engine.Retriever.load(place, **task.changes)
    self._defaults = self.retriever.reader.defaults(budget=task.budget)
    self._output = places.Folder(task.output)
    bundle = self.retriever.bundle
    self._users = bundle.users
    self._candidate = tables.candidates_type(bundle.catalog.items.ids)

  def answer(self, shard: shards.Shard) -> tables.Done:
    """Answers a shard and writes its files; the lists come last.

    Raises:
      OSError: if the histories cannot be read, or the lists not be written.
    """
    lists: list[pa.RecordBatch] = []
    bad: list[tuple[shards.Row, answers.Failure]] = []
    rows = shards.rows(shard, self._users)
    while batch := [*itertools.islice(rows, engine.MAX_BATCH)]:
      lists.append(self._lists(shard, batch, bad))
    done = tables.Done(shard, shard.size - len(bad), len(bad))
    schema = tables.lists_schema(self._candidate)
    if bad:
      self._write(tables.ERRORS, tables.errors(shard.source, bad), done)
    self._write(tables.LISTS, pa.Table.from_batches(lists, schema), done)
    return done

  def _write(self, folder: str, table: pa.Table, done: tables.Done) -> None:
    name = tables.path(folder, done.shard)
    self._output.write(name, tables.encoded(table, done))

  def _lists(
    self,
    shard: shards.Shard,
    batch: list[shards.Row],
    bad: list[tuple[shards.Row, answers.Failure]],
  ) -> pa.RecordBatch:
    """Returns the lists of a batch, and adds its bad rows to others."""
    reader = self.retriever.reader
    found = self.retriever.answer(
      [reader.read(row.given, row.name, self._defaults) for row in batch]
    )
    lines: list[int] = []
    good: list[answers.Answer] = []
    for row, answer in zip(batch, found, strict=True):
      if isinstance(answer, answers.Failure):
        bad.append((row, answer))
      else:
        lines.append(row.line)
        good.append(answer)
    return tables.lists(shard.source, lines, good, self._candidate)
