"""What a run would stand on: versions, devices, data, and what is missing."""

import importlib.metadata
import os
import pathlib
import platform
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from packaging import requirements

import pinrec_jax
from pinrec_jax import compiled, processes, sharding
from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset
from pinrec_jax.index import approximate

PACKAGE = "pinrec-jax"
# Each brings devices of its kind to JAX; without its driver JAX uses the CPU.
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")
FREE = 5  # GB that a run's checkpoints and a prepared log may well need


class Finding(NamedTuple):
  """One line of what was found."""

  name: str
  value: Any  # fit for JSON
  remedy: str = ""  # empty: all is well


def require(config: config_lib.Config) -> None:
  """Joins a run's processes, and ends it if what it needs is not there.

  Raises:
    TimeoutError: naming the processes that did not come.
    ValueError: on another kind of device than is meant, or no ScaNN.
  """
  processes.join(config.train.join_seconds)
  sharding.require(config.train.device)
  approximate.require(config.index.kind)
  compiled.keep(config.train.compiled)


def examine(
  config: config_lib.Config, workdir: pathlib.Path
) -> Iterator[Finding]:
  """Yields what there is and, with a remedy each, what is wrong."""
  yield Finding("python", platform.python_version())
  yield Finding("platform", platform.platform())
  yield from _packages()
  yield from _devices(config.train)
  kind = config.index.kind
  scann = kind != "exact" and approximate.available()
  remedy = "pip install scann (Linux), or set --config.index.kind=exact"
  missing = kind == "scann" and not scann
  yield Finding("index", "scann" if scann else "exact", remedy * missing)
  yield from _places(config.data, workdir)


def _packages() -> Iterator[Finding]:
  yield Finding(PACKAGE, pinrec_jax.__version__)
  try:
    needs = importlib.metadata.requires(PACKAGE) or ()
  except importlib.metadata.PackageNotFoundError:  # run from its source
    yield Finding("requirements", "unknown: the package is not installed")
    return
  for text in needs:
    needed = requirements.Requirement(text)
    # Extras are not needed.
    if needed.marker and not needed.marker.evaluate({"extra": ""}):
      continue
    found = _installed(needed.name)
    fits = found is not None and needed.specifier.contains(
      found, prereleases=True
    )
    remedy = f'pip install "{needed.name}{needed.specifier}"'
    yield Finding(needed.name, found, "" if fits else remedy)


def _installed(name: str) -> str | None:
  """Returns a package's version, if it is there."""
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None


def _devices(train: config_lib.Train) -> Iterator[Finding]:
  for name in processes.ENVIRONMENT:
    if name in os.environ:
      yield Finding(name, os.environ[name])
  try:
    processes.join(train.join_seconds)
    devices = jax.devices()
  except (OSError, RuntimeError, ValueError) as error:
    yield Finding("devices", None, f"{error}; mend the setting it names")
    return
  kind = jax.default_backend()
  yield Finding("processes", jax.process_count())
  yield Finding("devices", f"{len(devices)} x {devices[0].device_kind}")
  try:
    sharding.require(train.device)
    remedy = ""
  except ValueError as error:
    remedy = str(error)
  yield Finding("device kind", kind, remedy)
  for name in PLUGINS:
    version = _installed(name)
    if version is None:
      continue
    remedy = (
      f"{name} is installed and JAX sees no device of its; see whether its "
      "driver is there (nvidia-smi, or ls /dev/accel*), or set "
      "JAX_PLATFORMS=cpu to mean the CPU"
    )
    meant = os.environ.get("JAX_PLATFORMS") == "cpu"
    yield Finding(name, version, remedy * (kind == "cpu" and not meant))
  try:
    mesh = sharding.device_mesh(train.model_axis, train.fsdp_axis)
    sharding.check_batch(mesh, train.batch, train.accumulate)
  except ValueError as error:
    yield Finding("mesh", None, str(error))
  else:
    yield Finding("mesh", dict(mesh.shape))


def _places(data: config_lib.Data, workdir: pathlib.Path) -> Iterator[Finding]:
  name = data.name.partition("/")[0]
  known = f"set data.name to one of {', '.join(dataset.BUILDERS)}"
  yield Finding("log", data.name, known * (name not in dataset.BUILDERS))
  for field in ("source", "events", "items", "vectors"):
    path = getattr(data, field)
    if path and not any(c in path for c in "*?["):  # a pattern names no file
      there = pathlib.Path(path).expanduser().exists()
      remedy = f"there is nothing there; mend data.{field}"
      yield Finding(f"data.{field}", path, remedy * (not there))
  for field, path in (("data.prepared", data.prepared), ("workdir", workdir)):
    folder = pathlib.Path(path).expanduser().absolute()
    while not folder.exists():
      folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    remedy = ""
    if not os.access(folder, os.W_OK):
      remedy = f"{folder} cannot be written to; choose another {field}"
    elif free < FREE:
      remedy = f"free some space, or choose another {field}"
    yield Finding(field, f"{path} ({free:.0f} GB free)", remedy)
