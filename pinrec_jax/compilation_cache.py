"""JAX's persistent compilation cache."""

import hashlib
import os
import pathlib
import platform
import re

import jax

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
