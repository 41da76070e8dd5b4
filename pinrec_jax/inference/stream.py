"""Requests from a file or a pipe, answered as they arrive."""

import contextlib
import gzip
import os
import pathlib
import queue
import stat
import sys
import threading
from collections.abc import Iterator
from typing import Any

import msgspec

from pinrec_jax import config as config_lib
from pinrec_jax import validation
from pinrec_jax.inference import answers, engine

GZIP = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"

Line = tuple[int, bytes]  # Its number, from 1, and its bytes.


def retrieve(
  workdir: str | pathlib.Path,
  config: config_lib.Config | None,
  source: str,
  budget: str | None,
  *,
  strict: bool,
) -> bool:
  """Writes one answer per request to standard output, as lines of JSON.

  Args:
    workdir: of the run.
    config: how to decode; by default as the bundle was written.
    source: file of requests, one JSON object per line, which may be compressed
      by gzip; "-" is standard input.
    budget: default of requests without a budget.
    strict: whether an invalid request is a failure of the program.

  Returns:
    Whether the program succeeded.

  Raises:
    FileNotFoundError: if there is no bundle or no file of requests.
    OSError: if the file cannot be read to its end.
    ValueError: if the bundle is damaged, or the configuration or the default
      budget is invalid.
  """
  retriever = engine.Retriever.load(workdir, **changes(config))
  defaults = retriever.reader.defaults(budget=budget)
  encoder, output, failed = msgspec.json.Encoder(), sys.stdout.buffer, False
  for batch in _batches(source, engine.MAX_BATCH):
    parsed = [
      retriever.reader.read(line, f"line {number}", defaults)
      for number, line in batch
    ]
    for answer in retriever.answer(parsed):
      failed = failed or isinstance(answer, answers.Failure)
      output.write(encoder.encode(answer) + b"\n")
    output.flush()
  return not (strict and failed)


def changes(config: config_lib.Config | None) -> dict[str, Any]:
  """Returns the fields of a bundle that a configuration changes.

  Raises:
    ValueError: on a bad field.
  """
  if config is None:
    return {}
  validation.validate(config)
  given = config_lib.inference(config)
  return {"decode": given.decode, "index": given.index}


def unpacked(file: Any) -> Any:
  """Returns the file of lines in a file that gzip may have compressed."""
  return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == GZIP else file


def stripped(line: bytes) -> bytes:
  """Returns the request of a line; an empty line has none."""
  return line.removeprefix(BOM).strip()


def _batches(source: str, size: int) -> Iterator[list[Line]]:
  """Yields the lines that have arrived, at most `size` together.

  So a pipe that stays open gets each answer at once. A regular file is read in
  full batches. Empty lines are left out, but counted.
  """
  arrived: queue.Queue[Any] = queue.Queue(maxsize=4 * size)
  with contextlib.ExitStack() as stack:
    file: Any = sys.stdin.buffer
    if source != "-":
      file = stack.enter_context(pathlib.Path(source).expanduser().open("rb"))
    waiting = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    threading.Thread(target=_read, args=(file, arrived), daemon=True).start()
    while True:
      batch = [arrived.get()]
      with contextlib.suppress(queue.Empty):
        while isinstance(batch[-1], tuple) and len(batch) < size:
          batch.append(arrived.get(block=waiting))
      if found := [line for line in batch if isinstance(line, tuple)]:
        yield found
      if isinstance(batch[-1], Exception):
        raise OSError(f"{source} cannot be read: {batch[-1]}")
      if batch[-1] is None:
        return


def _read(file: Any, arrived: "queue.Queue[Any]") -> None:
  """Puts every line, and at the end None or the error."""
  try:
    for number, line in enumerate(unpacked(file), start=1):
      if request := stripped(line):
        arrived.put((number, request))
    arrived.put(None)
  except Exception as error:  # Whoever waits for the queue raises it.
    arrived.put(error)
