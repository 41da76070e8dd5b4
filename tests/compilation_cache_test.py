import os
import subprocess
import sys

import jax

from pinrec_jax import compilation_cache

CODE = """
import sys
import jax
from pinrec_jax import compilation_cache
compilation_cache.keep(sys.argv[1])
jax.jit(lambda x: 3 * x)(1.0)
"""


def _written(folder):
  """Runs a program and returns the programs that are there after it."""
  environment = {
    name: value for name, value in os.environ.items() if "CACHE" not in name
  }
  subprocess.run(
    [sys.executable, "-c", CODE, str(folder)], env=environment, check=True
  )
  return {path.name for path in folder.rglob("*-cache")}


def test_a_second_run_compiles_nothing(tmp_path):
  first = _written(tmp_path)
  assert first
  assert _written(tmp_path) == first
  (of_processor,) = tmp_path.iterdir()
  assert of_processor.name == compilation_cache._processor()


def test_a_folder_that_was_given_stays(tmp_path):
  given = jax.config.values["jax_compilation_cache_dir"]
  assert given  # by conftest.py
  compilation_cache.keep(str(tmp_path))
  assert jax.config.values["jax_compilation_cache_dir"] == given


def test_processors_have_folders_of_their_own(tmp_path, monkeypatch):
  told = tmp_path / "cpuinfo"
  monkeypatch.setattr(compilation_cache, "TOLD", told)
  names = set()
  for flags in ("fpu avx2", "fpu avx2 avx512f", None):
    told.unlink(missing_ok=True)
    if flags:
      told.write_text(f"model name: one\nflags : {flags}\nMHz : 1000\n")
    names.add(compilation_cache._processor())
  assert len(names) == 3
