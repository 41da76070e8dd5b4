"""JAX's persistent compilation cache."""

import atexit
import hashlib
import os
import pathlib
import platform
import re
import sys

import jax

from pinrec_jax import files

DIGESTS = "xxh3.json"  # Beside the compiled programs.
FOLDER = "~/.cache/pinrec_jax/compiled"
CPU_INFO = pathlib.Path("/proc/cpuinfo")  # On Linux.


def enable() -> None:
  """Makes JAX keep compiled programs on disk and reuse them.

  If JAX_COMPILATION_CACHE_DIR is set, JAX uses that folder. If it is empty,
  or if there is no home folder, nothing is kept.
  """
  if "JAX_COMPILATION_CACHE_DIR" in os.environ:
    return
  if jax.config.values["jax_compilation_cache_dir"]:
    return
  try:
    folder = pathlib.Path(FOLDER).expanduser() / _processor()
  except RuntimeError:  # There is no home folder.
    return
  jax.config.update("jax_compilation_cache_dir", str(folder))
  # A run compiles dozens of small programs, so they are kept, too.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  _delete_damaged(folder)
  atexit.register(_store_digests, folder)


def _delete_damaged(folder: pathlib.Path) -> None:
  """Deletes programs that are not as they were written; JAX compiles them.

  JAX would use a program with a flipped bit, and never replaces one that it
  cannot read.
  """
  for name, digest in _digests(folder).items():
    path = folder / name
    if path.is_file() and files.digest(path) != digest:
      path.unlink(missing_ok=True)
      print(f"{path} is damaged; it is compiled again", file=sys.stderr)


def _store_digests(folder: pathlib.Path) -> None:
  """Stores the digests of programs that are new since the last call."""
  known = _digests(folder)
  there = {path.name: path for path in folder.glob("*-cache")}
  found = {name: digest for name, digest in known.items() if name in there}
  try:
    new = {n: files.digest(p) for n, p in there.items() if n not in known}
    if new or found != known:
      files.write_json(folder / DIGESTS, found | new)
  except OSError:  # Another process deletes programs, or the disk is full.
    return


def _digests(folder: pathlib.Path) -> dict[str, str]:
  """Returns the digests of programs; none if the file is damaged."""
  path = folder / DIGESTS
  try:
    return files.read_json(path) if path.is_file() else {}
  except ValueError:
    path.unlink(missing_ok=True)
    return {}


def _processor() -> str:
  """Returns a name for this kind of processor.

  Machines with other instructions may share a home folder, and JAX's own cache
  key does not contain the instructions.
  """
  text = (
    CPU_INFO.read_text("utf-8") if CPU_INFO.is_file() else platform.processor()
  )
  known = re.search(r"^(flags|Features)\s*:.*", text, re.M)
  name = f"{platform.machine()} {known[0] if known else text}"
  return hashlib.sha256(name.encode()).hexdigest()[:12]
