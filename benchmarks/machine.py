"""What decides how fast a CPU trains: its instructions, pages and rates."""

import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

CPU = pathlib.Path("/proc/cpuinfo")
# Kinds of instructions for vectors and matrices, as Linux names them.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")
SIZE = 2048  # Rows and columns of a matrix.
BYTES = 1 << 28  # That are copied.
REPEATS = 5


def facts() -> dict[str, Any]:
  """Returns the name of the CPU, its instructions, and the size of pages.

  The name and the instructions are absent where there is no /proc.
  """
  pages = "hugetlb=1" in os.environ.get("GLIBC_TUNABLES", "")
  found: dict[str, Any] = {"large_pages": pages}
  if CPU.is_file():
    lines = [line.split(":", 1) for line in CPU.read_text("utf-8").split("\n")]
    named = {x[0].strip(): x[1].strip() for x in lines if len(x) == 2}
    flags = named.get("flags", named.get("Features", "")).split()
    found["cpu"] = named.get("model name", "")
    found["instructions"] = [name for name in INSTRUCTIONS if name in flags]
  return found


def rates() -> dict[str, float]:
  """Returns the machine's own rates of matrix products and of copies.

  Matrices are products of float32 numbers on all cores; a copy is by one
  thread, and counts the bytes that are read and written.
  """
  matrix = jnp.ones((SIZE, SIZE))
  product = jax.jit(jnp.matmul)
  source = np.ones(BYTES, np.uint8)
  copy = np.empty_like(source)
  multiplied = _best(lambda: product(matrix, matrix).block_until_ready())
  copied = _best(lambda: np.copyto(copy, source))
  return {
    "matrix_gflops": 2 * SIZE**3 / multiplied / 1e9,
    "copy_gb_per_s": 2 * BYTES / copied / 1e9,
  }


def _best(function: Callable[[], Any]) -> float:
  """Returns the seconds of the fastest of several calls, after a first one."""
  function()
  seconds = []
  for _ in range(REPEATS):
    began = time.perf_counter()
    function()
    seconds.append(time.perf_counter() - began)
  return min(seconds)
