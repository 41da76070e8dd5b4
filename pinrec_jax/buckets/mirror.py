"""A folder of a bucket with its local copy, and which machine trains there."""

import contextlib
import functools
import json
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import filelock

from pinrec_jax.buckets import addresses, fetching, layout, objects, pushing
from pinrec_jax.buckets import index as index_lib

LOCK = ".bucket.lock"
WRITER = ".writer"  # Object that names the process that trained last.


class TakenOverError(ValueError):
  """Another machine trains in the same work folder."""


class Mirror:
  """A folder of a bucket with its local copy.

  Attributes:
    bucket: the objects.
    folder: the local copy.
  """

  def __init__(self, address: str) -> None:
    """Makes the folder of the local copy.

    Raises:
      ValueError: if the address is invalid, or its package is missing.
    """
    self.bucket = objects.Objects(address)
    self.folder = addresses.local(address)
    self.folder.mkdir(parents=True, exist_ok=True)
    self._lock = filelock.FileLock(self.folder / LOCK)
    self._session = ""  # Of a training, as long as this process trains.

  @contextlib.contextmanager
  def _index(self) -> Iterator[index_lib.Index]:
    """Yields the index, and saves it. Others of this machine wait meanwhile."""
    with self._lock:
      index = index_lib.load(self.folder)
      try:
        yield index
      finally:
        index.save(self.folder)

  def fetch(self, wanted: fetching.Wanted = layout.at_start) -> None:
    """Brings the local copy into agreement with the bucket, as `fetching`.

    Raises:
      OSError: naming the address, if it cannot be read.
    """
    with self._index() as index:

      @functools.cache
      def ours() -> bool:
        return self._writer().get("session", "") == index.writer

      fetching.fetch(self.bucket, self.folder, index, wanted=wanted, ours=ours)

  def push(self, inside: str = ".") -> None:
    """Uploads what changed in the local copy, as `pushing`.

    Args:
      inside: folder of the copy to which this is limited.

    Raises:
      OSError: naming the address, if it cannot be written.
      TakenOverError: if another machine has started to train there.
    """
    with self._index() as index:
      if self._session:
        self._require_own()
      pushing.push(self.bucket, self.folder, index, inside)

  def claim(self) -> None:
    """Makes this process the one that trains in the work folder.

    A training of another machine that still runs stops at its next checkpoint.

    Raises:
      OSError: naming the address, if it cannot be read or written.
    """
    with self._index() as index:
      before = self._writer()
      ours = before.get("session", "") == index.writer
      if before and not ours and not before.get("ended"):
        print(
          f"{self.bucket.address} was used by {before.get('process')}, which "
          "did not say that it ended. If it runs, it stops at its next "
          "checkpoint",
          file=sys.stderr,
        )
      self._session = uuid.uuid4().hex
      self._write(ended=False)
      fetching.fetch(
        self.bucket,
        self.folder,
        index,
        wanted=layout.at_start,
        ours=lambda: ours,
      )
      index.writer = self._session
      there = self.bucket.list()
      self.bucket.delete(  # Of a process that was killed.
        name
        for name in there
        if layout.checkpoint(name) and not layout.is_whole(name, there)
      )

  def release(self) -> None:
    """Says in the bucket that the training has ended.

    Raises:
      OSError: naming the address, if it cannot be read or written.
    """
    if self._writer().get("session") == self._session:
      self._write(ended=True)
    self._session = ""

  def _writer(self) -> dict[str, Any]:
    """Returns what the last training wrote about itself; empty without one."""
    content = self.bucket.read(WRITER)
    try:
      return dict(json.loads(content)) if content else {}
    except (TypeError, ValueError):  # Another program wrote it.
      return {}

  def _write(self, *, ended: bool) -> None:
    process = f"process {os.getpid()} on {socket.gethostname()}"
    about = {"session": self._session, "process": process, "ended": ended}
    self.bucket.write(WRITER, json.dumps(about).encode())

  def _require_own(self) -> None:
    """Raises TakenOverError if another process trains in the work folder."""
    last = self._writer()
    if last.get("session") != self._session:
      raise TakenOverError(
        f"{self.bucket.address} is used by {last.get('process')}, which has "
        "started to train later, so this process stops. Files that were not "
        f"uploaded are in {self.folder}; use another --workdir for another run"
      )
