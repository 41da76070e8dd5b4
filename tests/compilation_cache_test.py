import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from pinrec_jax import compilation_cache, files

PROGRAM = """
import jax
from pinrec_jax import compilation_cache
compilation_cache.enable()
jax.jit(lambda x: 3 * x)(1.0)
"""


def _cached(home, **variables):
  """Runs a program and returns the compiled programs in the cache after it."""
  environment = {
    name: value for name, value in os.environ.items() if "CACHE" not in name
  }
  subprocess.run(
    [sys.executable, "-c", PROGRAM],
    env=environment | {"HOME": str(home)} | variables,
    check=True,
  )
  return {path.name for path in home.rglob("*-cache")}


def test_a_second_run_compiles_nothing(tmp_path):
  first = _cached(tmp_path)
  assert first
  assert _cached(tmp_path) == first
  folder = tmp_path / compilation_cache.FOLDER.removeprefix("~/")
  (of_processor,) = folder.iterdir()
  assert of_processor.name == compilation_cache._processor()


def test_the_environment_chooses_the_folder(tmp_path):
  elsewhere = tmp_path / "elsewhere"
  elsewhere.mkdir()
  _cached(
    tmp_path,
    JAX_COMPILATION_CACHE_DIR=str(elsewhere),
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
  )
  assert list(elsewhere.rglob("*-cache"))
  assert not (tmp_path / ".cache").exists()


def test_an_empty_variable_turns_the_cache_off(tmp_path):
  assert not _cached(tmp_path, JAX_COMPILATION_CACHE_DIR="")


def test_a_folder_that_is_already_configured_stays(monkeypatch):
  configured = jax.config.values["jax_compilation_cache_dir"]
  assert configured  # By conftest.py.
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
  compilation_cache.enable()
  assert jax.config.values["jax_compilation_cache_dir"] == configured


def test_processors_with_other_instructions_have_folders_of_their_own(
  tmp_path, monkeypatch
):
  info = tmp_path / "cpuinfo"
  monkeypatch.setattr(compilation_cache, "CPU_INFO", info)
  names = set()
  for flags in ("fpu avx2", "fpu avx2 avx512f", None):
    info.unlink(missing_ok=True)
    if flags:
      info.write_text(f"model name: one\nflags : {flags}\nMHz : 1000\n")
    names.add(compilation_cache._processor())
  assert len(names) == 3


def test_without_a_home_folder_nothing_is_kept(monkeypatch, tmp_path):
  def no_home(path):
    raise RuntimeError("Could not determine home directory.")

  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(pathlib.Path, "expanduser", no_home)
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
  configured = jax.config.values["jax_compilation_cache_dir"]
  jax.config.update("jax_compilation_cache_dir", None)
  try:
    compilation_cache.enable()
    assert not jax.config.values["jax_compilation_cache_dir"]
  finally:
    jax.config.update("jax_compilation_cache_dir", configured)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_program_is_compiled_again(tmp_path, damage):
  (name,) = _cached(tmp_path)
  (path,) = tmp_path.rglob(name)
  whole = path.read_bytes()
  changed = bytearray(whole)
  changed[len(whole) // 2] ^= 4
  path.write_bytes({"flip": changed, "cut": whole[:99], "empty": b""}[damage])
  assert _cached(tmp_path) == {name}
  stored = json.loads((path.parent / "xxh3.json").read_text("utf-8"))
  assert stored == {name: files.digest(path)}
  assert path.stat().st_size > 99


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_damaged_digests_are_stored_again(tmp_path, text):
  (name,) = _cached(tmp_path)
  (path,) = tmp_path.rglob("xxh3.json")
  before = path.read_text("utf-8")
  path.write_text(text, "utf-8")
  assert _cached(tmp_path) == {name}
  assert path.read_text("utf-8") == before


def test_digests_of_programs_that_are_gone_are_dropped(tmp_path):
  (tmp_path / "a-cache").write_bytes(b"a")
  compilation_cache._store_digests(tmp_path)
  (tmp_path / "a-cache").rename(tmp_path / "b-cache")
  compilation_cache._store_digests(tmp_path)
  assert [*compilation_cache._digests(tmp_path)] == ["b-cache"]
