"""The JSON file that every benchmark writes."""

import os
import pathlib
import platform

import jax

from pinrec_jax import files


def machine() -> dict[str, str | int | float | None]:
  """Returns what the figures were measured on."""
  return {
    "machine": platform.machine(),
    "cores": os.cpu_count(),
    "load": os.getloadavg()[0],
    "device": jax.devices()[0].device_kind,
    "python": platform.python_version(),
    "jax": jax.__version__,
  }


def write(path: pathlib.Path, command: list[str], **figures: object) -> None:
  """Writes figures with the command and the machine that they come from."""
  files.write_json(path, {"command": command, "machine": machine(), **figures})
