"""An examination before a run: versions, devices, data and free space."""

import dataclasses
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
from pinrec_jax import config as config_lib
from pinrec_jax import processes, sharding
from pinrec_jax.buckets import addresses, objects
from pinrec_jax.data import dataset
from pinrec_jax.index import scann_index

PACKAGE = "pinrec-jax"
# Each adds a kind of device to JAX. Without its driver, JAX uses the CPU.
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")
FREE = 5  # GB that checkpoints and a prepared log may need.


class Finding(NamedTuple):
  """One line of a diagnosis.

  Attributes:
    name: of the thing that was examined.
    value: its version, number or state.
    remedy: how to correct it; empty if nothing is wrong.
  """

  name: str
  value: Any
  remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
  """All findings of an examination."""

  findings: list[Finding]

  def figures(self) -> dict[str, Any]:
    """Returns the findings for report.json."""
    return {name: value for name, value, _ in self.findings}

  def require(self) -> None:
    """Raises ValueError naming all faults."""
    wrong = [f"{f.name}: {f.remedy}" for f in self.findings if f.remedy]
    if wrong:
      raise ValueError("\n  ".join([f"{len(wrong)} to fix", *wrong]))


def examine(
  config: config_lib.Config | None, workdir: pathlib.Path
) -> Diagnosis:
  """Examines the machine and, if one is given, a configuration.

  Args:
    config: of the run; None examines the machine alone.
    workdir: of the run.
  """
  settings = config or config_lib.Config()
  kind = settings.index.kind
  scann = kind in ("auto", "scann") and scann_index.available()
  missing = kind == "scann" and not scann
  used = "scann" if scann else kind.replace("auto", "exact")
  remedy = "pip install scann (Linux), or set --config.index.kind=exact"
  return Diagnosis(
    [
      Finding("python", platform.python_version()),
      Finding("platform", platform.platform()),
      *_packages(),
      *_devices(settings.train),
      Finding("index", used, remedy * missing),
      *(_log(settings.data) if config else ()),
      *_places(settings.data, workdir),
    ]
  )


def _packages() -> Iterator[Finding]:
  yield Finding(PACKAGE, pinrec_jax.__version__)
  try:
    needs = importlib.metadata.requires(PACKAGE) or ()
  except importlib.metadata.PackageNotFoundError:  # Run from its source.
    yield Finding("requirements", "unknown: the package is not installed")
    return
  for text in needs:
    needed = requirements.Requirement(text)
    # Packages of extras are optional.
    if needed.marker and not needed.marker.evaluate({"extra": ""}):
      continue
    found = _installed(needed.name)
    fits = found is not None and needed.specifier.contains(
      found, prereleases=True
    )
    remedy = f'pip install "{needed.name}{needed.specifier}"'
    yield Finding(needed.name, found, "" if fits else remedy)


def _installed(name: str) -> str | None:
  """Returns the version of an installed package."""
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None


def _devices(train: config_lib.Train) -> Iterator[Finding]:
  for name in processes.ENVIRONMENT:
    if name in os.environ:
      yield Finding(name, os.environ[name])
  try:
    processes.join()
    sharding.require_device()
  except (OSError, ValueError) as error:
    yield Finding("devices", None, str(error))
    return
  devices, kind = jax.devices(), jax.default_backend()
  yield Finding("processes", jax.process_count())
  yield Finding("devices", f"{len(devices)} x {devices[0].device_kind}")
  yield Finding("device kind", kind)
  for name in PLUGINS:
    version = _installed(name)
    if version is None:
      continue
    remedy = (
      f"{name} is installed and JAX sees no device of its kind; check its "
      "driver (nvidia-smi, or ls /dev/accel*), or set JAX_PLATFORMS=cpu to use "
      "the CPU"
    )
    meant = os.environ.get("JAX_PLATFORMS") == "cpu"
    yield Finding(name, version, remedy * (kind == "cpu" and not meant))
  try:
    mesh = sharding.device_mesh(train.model_axis, train.fsdp_axis)
    sharding.check_batch(mesh, train.batch_size, train.grad_accumulation)
  except ValueError as error:
    yield Finding("mesh", None, str(error))
  else:
    yield Finding("mesh", dict(mesh.shape))


def _log(data: config_lib.Data) -> Iterator[Finding]:
  name = data.name.partition("/")[0]
  known = f"set data.name to one of {', '.join(dataset.BUILDERS)}"
  yield Finding("log", data.name, known * (name not in dataset.BUILDERS))
  for field in ("source", "events", "items", "item_vectors"):
    path = getattr(data, field)
    if path and not any(c in path for c in "*?["):  # A pattern names no file.
      there = pathlib.Path(path).expanduser().exists()
      remedy = f"nothing is there; correct data.{field}"
      yield Finding(f"data.{field}", path, remedy * (not there))


def _places(data: config_lib.Data, workdir: pathlib.Path) -> Iterator[Finding]:
  for field, path in (
    ("data.prepared_dir", data.prepared_dir),
    ("workdir", workdir),
  ):
    try:
      folder = addresses.local(path).absolute()
      if addresses.of(folder):  # It is the local copy of a bucket.
        objects.Objects(addresses.of(folder)).list()
    except (OSError, ValueError) as error:
      yield Finding(field, path, str(error))
      continue
    while not folder.exists():
      folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    remedy = ""
    if not os.access(folder, os.W_OK):
      remedy = f"{folder} cannot be written to; choose another {field}"
    elif free < FREE:
      remedy = f"free some space, or choose another {field}"
    yield Finding(field, f"{path} ({free:.0f} GB free)", remedy)
