"""A batch retrieval: it plans shards and answers those that are unfinished."""

import contextlib
import dataclasses
import json
import pathlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import xxhash

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, files
from pinrec_jax.batch_retrieval import (
  answering,
  pipeline,
  places,
  shards,
  tables,
)
from pinrec_jax.buckets import addresses, work_folder
from pinrec_jax.data import beam_options
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import (
  bundle_folders,
  engine,
  items,
  requests,
  stream,
)

ABOUT = "about.json"  # In the folder of all lists.
USERS = "log"  # As --histories, all users of the bundle's log.
PROGRESS_SECONDS = 30  # Between two lines about the progress.
THREADS = 8  # Of files that are looked at together.


@dataclasses.dataclass(frozen=True)
class Report:
  """What a batch retrieval wrote.

  Attributes:
    users: number of lists.
    bad: number of bad rows.
    new: number of these that were answered now.
    seconds: the answering took.
    output: folder of all lists.
  """

  users: int
  bad: int
  new: int
  seconds: float
  output: str

  def __str__(self) -> str:
    rate = f" ({self.new / self.seconds:,.0f} users/s)" if self.new else ""
    return (
      f"{self.users:,} lists and {self.bad:,} bad rows, {self.new:,} of them "
      f"new in {self.seconds:,.0f} s{rate}: {self.output}"
    )


def retrieve(
  workdir: str | pathlib.Path,
  config: config_lib.Config | None,
  histories: str,
  budget: str | None,
  output: str,
  *,
  options: str = "",
  shard_size: int = shards.SIZE,
) -> Report:
  """Writes the lists of all requests as Parquet files.

  A call that was stopped is continued by the same call.

  Args:
    workdir: of the run, a path or an address.
    config: how to decode; by default as the bundle was written.
    histories: a file, a folder or a pattern of requests, one JSON object per
      line; "log" stands for all users of the bundle's log.
    budget: default of requests without a budget.
    output: folder of the lists, a path or an address.
    options: of Apache Beam, such as "--runner=DataflowRunner".
    shard_size: requests of a file, a multiple of `engine.MAX_BATCH`.

  Raises:
    FileNotFoundError: if there is no bundle or no file of requests.
    OSError: if a file cannot be read or written, or the pipeline failed.
    ValueError: if the bundle is damaged, the configuration or the default
      budget is invalid, or the folder has lists of another call.
  """
  if histories == "-":
    raise ValueError(
      "--output needs --histories, a file, a folder or a pattern; for all "
      f"users of the log, use --histories={USERS}"
    )
  if shard_size % engine.MAX_BATCH or shard_size < 1:
    raise ValueError(
      f"shard_size is {shard_size}; use a multiple of {engine.MAX_BATCH}"
    )
  if not addresses.is_address(workdir):
    workdir = pathlib.Path(workdir).expanduser().absolute()
  parsed = beam_options.parsed(options, "--beam_options")
  root, changes = work_folder.readable(workdir), stream.changes(config)
  folder = bundle_folders.find(root)
  bundle = bundle_lib.load(folder, **changes)
  requests.Reader(bundle, items.BundleItems(bundle)).defaults(budget=budget)
  target = places.Folder(output)
  inside = folder.relative_to(root).as_posix()
  task = answering.Task(str(workdir), inside, changes, budget, target.place)
  given = [] if histories == USERS else places.sources(histories)
  about = {
    "bundle": bundle.provenance.version,
    "config": json.loads(config_files.to_json(bundle.config)),
    "budget": budget,
    "histories": [source.place for source in given] or USERS,
    "shard_size": shard_size,
  }
  users = len(bundle.users)
  del bundle  # The workers of this process load their own.
  planned = _planned(given, users, shard_size)
  about["content"] = xxhash.xxh3_128_hexdigest(repr(planned).encode("utf-8"))
  with _locked(target):
    _require_same(target, about)
    return _answered(task, planned, target, parsed)


def _locked(target: places.Folder) -> contextlib.AbstractContextManager:
  """Keeps other processes of this machine out of a folder of lists."""
  if target.path is None:
    return contextlib.nullcontext()
  return files.locked(target.path, "--output")


def _require_same(target: places.Folder, about: dict[str, Any]) -> None:
  """Says in the folder what its lists are made from.

  Raises:
    ValueError: if it has lists that are made from something else.
  """
  found = target.read(ABOUT)
  if found is None:
    if any(name.startswith(f"{tables.LISTS}/") for name in target.names()):
      raise ValueError(
        f"--output={target.place} has lists and no {ABOUT}; use another "
        "--output"
      )
    target.write(ABOUT, json.dumps(about, indent=1).encode("utf-8"))
    return
  try:
    known = json.loads(found)
    other = [name for name in about if known.get(name) != about[name]]
  except (AttributeError, ValueError):
    other = [ABOUT]
  if other:
    raise ValueError(
      f"--output={target.place} has lists of another call ({', '.join(other)} "
      "differ); use another --output, or delete that folder"
    )


def _planned(
  given: Sequence[places.Source], users: int, size: int
) -> list[shards.Shard]:
  """Returns all shards, in the order of the requests."""
  if not given:
    return [*shards.of_log(users, size)]

  def _cut(place: int) -> list[shards.Shard]:
    return [*shards.of_file(given[place].place, place, size)]

  with futures.ThreadPoolExecutor(THREADS) as pool:
    return [one for own in pool.map(_cut, range(len(given))) for one in own]


def _answered(
  task: answering.Task,
  planned: Sequence[shards.Shard],
  target: places.Folder,
  options: Any,
) -> Report:
  """Answers all shards that are not finished."""
  before = _finished(planned, target)
  todo = [shard for shard in planned if shard.name not in before]
  began = time.monotonic()
  if todo:
    with _progress(planned, todo, target):
      pipeline.run(task, todo, options)
  seconds = time.monotonic() - began
  done = _finished(planned, target)
  missing = [shard.name for shard in planned if shard.name not in done]
  if missing:
    raise OSError(
      f"{len(missing)} shards are not in {target.place}, {missing[0]} among "
      "them, although the pipeline ended; do the workers see that folder?"
    )
  return Report(
    users=sum(one.users for one in done.values()),
    bad=sum(one.bad for one in done.values()),
    new=sum(shard.size for shard in todo),
    seconds=seconds,
    output=target.place,
  )


def _finished(
  planned: Sequence[shards.Shard], target: places.Folder
) -> dict[str, tables.Done]:
  """Returns the counts of all finished shards, by name."""
  there = target.names()

  def _done(shard: shards.Shard) -> tables.Done | None:
    name = tables.path(tables.LISTS, shard)
    if name not in there:
      return None
    with target.reading(name) as file:
      found = tables.done(file)
    return found if found and found.shard == shard else None

  with futures.ThreadPoolExecutor(THREADS) as pool:
    found = [*pool.map(_done, planned)]
  return {one.shard.name: one for one in found if one}


@contextlib.contextmanager
def _progress(
  planned: Sequence[shards.Shard],
  todo: Sequence[shards.Shard],
  target: places.Folder,
) -> Iterator[None]:
  """Prints a line about the progress now and then."""
  stop, began = threading.Event(), time.monotonic()
  every = sum(shard.size for shard in planned)
  left = {tables.path(tables.LISTS, shard): shard.size for shard in todo}
  before = every - sum(left.values())

  def _watch() -> None:
    while not stop.wait(PROGRESS_SECONDS):
      with contextlib.suppress(OSError):  # The next look may succeed.
        now = sum(left[name] for name in target.names() & left.keys())
        rate = now / (time.monotonic() - began)
        print(
          f"{before + now:,} of {every:,} users, {rate:,.0f} users/s",
          file=sys.stderr,
        )

  thread = threading.Thread(target=_watch, daemon=True)
  thread.start()
  try:
    yield
  finally:
    stop.set()
    thread.join()
