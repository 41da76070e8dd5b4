"""What every benchmark writes beside its figures."""

import json
import os
import pathlib
import platform

import jax


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


def write(path: pathlib.Path, command: list[str], **found: object) -> None:
  """Writes what was found, with the command and the machine it is of."""
  path.parent.mkdir(parents=True, exist_ok=True)
  written = {"command": command, "machine": machine(), **found}
  path.write_text(json.dumps(written, indent=1) + "\n")
