"""The JSON file that every benchmark writes."""

import os
import pathlib
import platform
from typing import Any

import jax
import machine

from pinrec_jax import files


def about_machine() -> dict[str, Any]:
  """Returns what the figures were measured on."""
  return {
    "machine": platform.machine(),
    "cores": os.cpu_count(),
    "load": os.getloadavg()[0],
    "device": jax.devices()[0].device_kind,
    "python": platform.python_version(),
    "jax": jax.__version__,
    **machine.facts(),
  }


def write(path: pathlib.Path, command: list[str], **figures: object) -> None:
  """Writes figures with the command and the machine that they come from."""
  about = {"command": command, "machine": about_machine()}
  files.write_json(path, {**about, **figures})
