"""Programs compiled by earlier runs, found again."""

import hashlib
import pathlib
import platform
import re

import jax

TOLD = pathlib.Path("/proc/cpuinfo")  # on Linux


def keep(folder: str) -> None:
  """Has JAX keep what it compiles in a folder, and look there first.

  A folder that JAX was already given, as by JAX_COMPILATION_CACHE_DIR, stays.

  Args:
    folder: made when the first program is written; empty keeps nothing.
  """
  if not folder or jax.config.values["jax_compilation_cache_dir"]:
    return
  place = pathlib.Path(folder).expanduser() / _processor()
  jax.config.update("jax_compilation_cache_dir", str(place))
  # Small programs, too: a run has dozens of them.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _processor() -> str:
  """Names this kind of processor.

  A home folder may be shared with machines that lack its instructions, and the
  name by which JAX finds a program does not tell them.
  """
  text = TOLD.read_text() if TOLD.is_file() else platform.processor()
  known = re.search(r"^(flags|Features)\s*:.*", text, re.M)
  name = f"{platform.machine()} {known[0] if known else text}"
  return hashlib.sha256(name.encode()).hexdigest()[:12]
