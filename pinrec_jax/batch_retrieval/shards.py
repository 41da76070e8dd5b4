"""Shards: requests that are answered together and written into one file.

A shard holds whole batches of `--mode=retrieve`. So each request is answered
beside the same others as there, in the same shape, and gets the same list.
"""

import dataclasses
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import xxhash

from pinrec_jax.batch_retrieval import places
from pinrec_jax.inference import engine, stream
from pinrec_jax.inference import users as users_lib

SIZE = 32 * engine.MAX_BATCH  # Requests of a shard.
LOG = ""  # Stands for the users of the bundle's log.


@dataclasses.dataclass(frozen=True)
class Shard:
  """Consecutive requests of one source.

  Attributes:
    name: of its files, without folder and ending.
    source: the file of histories, or LOG.
    first: line of the first request, or place of the first user; from 1.
    offset: bytes of the file before that line, decompressed.
    size: number of requests.
    digest: XXH3 digest of its lines; "" for the log, which the bundle holds.
  """

  name: str
  source: str
  first: int
  offset: int
  size: int
  digest: str


class Row(NamedTuple):
  """A request of a shard.

  Attributes:
    line: its line in the file, or its user's place in the log; from 1.
    name: of the request, for errors.
    given: the line, or a mapping.
  """

  line: int
  name: str
  given: Any


def of_log(users: int, size: int) -> Iterator[Shard]:
  """Yields the shards of a log. Without users, there is an empty one.

  Args:
    users: number of users in the log.
    size: requests of a shard.
  """
  for number, start in enumerate(range(0, max(users, 1), size)):
    part = min(size, users - start)
    yield Shard(_name(0, number), LOG, start + 1, 0, part, "")


def of_file(source: str, place: int, size: int) -> Iterator[Shard]:
  """Yields the shards of a file. Without requests, there is an empty one.

  Args:
    source: the file of histories.
    place: of the file among all files.
    size: requests of a shard.

  Raises:
    OSError: if the file cannot be read to its end.
  """
  digest, number, offset = xxhash.xxh3_128(), 0, 0
  first, start, found = 1, 0, 0
  for line, content in _lines(source, 1, 0):
    if stream.stripped(content):
      if found == size:
        name = _name(place, number)
        yield Shard(name, source, first, start, found, digest.hexdigest())
        digest, number = xxhash.xxh3_128(), number + 1
        first, start, found = line, offset, 0
      found += 1
    digest.update(content)
    offset += len(content)
  if found or not number:
    name = _name(place, number)
    yield Shard(name, source, first, start, found, digest.hexdigest())


def rows(shard: Shard, users: users_lib.Users) -> Iterator[Row]:
  """Yields the requests of a shard.

  Args:
    shard: the shard.
    users: of the bundle.

  Raises:
    OSError: if the file cannot be read, or is shorter than it was.
  """
  if shard.source == LOG:
    names = users.names(shard.first - 1, shard.size)
    for line, user in enumerate(names, shard.first):
      yield Row(line, "", {"user": user})
    return
  left = shard.size
  lines = _lines(shard.source, shard.first, shard.offset) if left else ()
  for line, content in lines:
    if request := stream.stripped(content):
      yield Row(line, f"line {line}", request)
      left -= 1
      if not left:
        return
  if left:
    raise OSError(
      f"{shard.source} has become shorter while it was answered; start again "
      "with another --output"
    )


def _lines(source: str, first: int, offset: int) -> Iterator[tuple[int, bytes]]:
  """Yields the lines of a file from an offset on, with their numbers."""
  with places.opened(source) as file:
    try:
      lines = stream.unpacked(file)
      lines.seek(offset)
      yield from enumerate(lines, first)
    except (OSError, EOFError, zlib.error) as error:
      raise OSError(f"{source} cannot be read: {error}") from error


def _name(place: int, number: int) -> str:
  return f"{place:05}-{number:05}"
