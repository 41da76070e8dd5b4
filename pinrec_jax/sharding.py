"""The device mesh, and where every array lies on it.

The only file that names a mesh axis.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

DATA, FSDP, MODEL = "data", "fsdp", "model"
BATCH = (DATA, FSDP)  # the axes that share the rows of a batch

# The first rule found in a parameter's path wins; what none names is
# replicated. Optimizer moments carry their parameter's path, so they follow.
RULES = (
  (r"item_embedder/table_\d+", ((FSDP, MODEL), None)),
  (r"mlp_in/kernel", (FSDP, MODEL)),
  (r"mlp_out/kernel", (MODEL, FSDP)),
  (r"/kernel$", (FSDP, None)),
)
STACK = r"backbone/blocks/"  # arrays of all layers, each device holds each


def require_device() -> None:
  """Raises ValueError if JAX finds no device, or if 64-bit mode is on."""
  try:
    jax.devices()
  except (RuntimeError, AssertionError) as error:
    platforms = os.environ.get("JAX_PLATFORMS", "")
    raise ValueError(
      f"JAX finds no device (JAX_PLATFORMS is {platforms!r}; {error}); install "
      "the driver and the extra of your device (cuda12, cuda13 or tpu), or set "
      "JAX_PLATFORMS=cpu"
    ) from error
  if jax.config.values["jax_enable_x64"]:
    raise ValueError(
      "JAX_ENABLE_X64 is set; the model is trained in 32 bits: unset it"
    )


def device_mesh(
  model: int = 1, fsdp: int = 1, devices: Sequence[Any] | None = None
) -> Mesh:
  """Returns devices, by default all, as (data, fsdp, model) axes.

  A batch lies along data and fsdp. Parameters and their moments are whole
  along data; along fsdp each device holds a part of them and reads the others'
  when it needs them (ZeRO, arXiv 1910.02054); along model they stay parted.

  Raises:
    ValueError: if they do not divide.
  """
  devices = jax.devices() if devices is None else devices
  if len(devices) % (model * fsdp):
    raise ValueError(
      f"train.model_axis {model} times train.fsdp_axis {fsdp} does not divide "
      f"the {len(devices)} devices; use divisors of {len(devices)}"
    )
  return jax.make_mesh(
    (len(devices) // (model * fsdp), fsdp, model),
    (DATA, FSDP, MODEL),
    axis_types=(jax.sharding.AxisType.Auto,) * 3,
    devices=devices,
  )


def row_share(mesh: Mesh) -> tuple[int, int]:
  """Returns which share of a batch's rows this process holds, and of how many.

  Processes that lie along the model axis hold the same rows.

  Raises:
    ValueError: if processes share some of their rows and not others.
  """
  held: dict[int, set[int]] = {}
  for row, devices in enumerate(mesh.devices.reshape(-1, mesh.shape[MODEL])):
    for device in devices:
      held.setdefault(device.process_index, set()).add(row)
  shares = sorted({tuple(sorted(rows)) for rows in held.values()})
  if sum(map(len, shares)) > len(set().union(*held.values())):
    own = mesh.devices.size // len(held)
    raise ValueError(
      f"train.model_axis {mesh.shape[MODEL]} parts the {own} devices of a "
      f"process from each other; use a divisor of {own}, or a multiple"
    )
  own = tuple(sorted(held[jax.process_index()]))
  return shares.index(own), len(shares)


def check_batch(mesh: Mesh, batch: int, parts: int) -> None:
  """Raises ValueError unless the parts of a batch divide over the devices."""
  ways = int(np.lcm(_size(mesh, BATCH), row_share(mesh)[1]))
  if batch % (ways * parts):
    raise ValueError(
      f"train.batch_size {batch} does not divide over {ways} devices, in "
      f"train.grad_accumulation {parts} parts; use a multiple of {ways * parts}"
    )


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds the whole."""
  return NamedSharding(mesh, PartitionSpec())


def rows(mesh: Mesh) -> NamedSharding:
  """The leading axis lies along the axes that share a batch."""
  return NamedSharding(mesh, PartitionSpec(BATCH))


def _size(mesh: Mesh, axes: str | tuple[str, ...]) -> int:
  """Returns how many devices lie along one axis, or along several."""
  named = (axes,) if isinstance(axes, str) else axes
  return int(np.prod([mesh.shape[axis] for axis in named]))


def of_tree(mesh: Mesh, tree: Any) -> Any:
  """Returns the sharding of every array of a state, by the rules."""

  def of(path: tuple, leaf: Any) -> NamedSharding:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    axes = next((axes for rule, axes in RULES if re.search(rule, name)), ())
    if re.search(STACK, name):
      axes = (None, *axes)
    parts = []
    for size, axis in zip(leaf.shape, axes, strict=False):
      ways = _size(mesh, axis or ())
      if size % ways and axis == FSDP:
        axis = None  # only saves memory
      elif size % ways:
        raise ValueError(
          f"{name} of shape {leaf.shape} does not divide over the {ways} "
          f"devices of axis {axis!r}; make {size} a multiple"
        )
      parts.append(axis)
    return NamedSharding(mesh, PartitionSpec(*parts))

  return jax.tree.map_with_path(of, tree)


def from_rows(mesh: Mesh, local: Any) -> Any:
  """Returns the global batch whose rows the processes hold."""
  place = rows(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(place, x), local
  )


def from_all(mesh: Mesh, whole: Any) -> Any:
  """Returns arrays every process holds alike, replicated on the mesh."""
  place = replicated(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(place, np.asarray(x)),
    whole,
  )


def on_host(tree: Any) -> Any:
  """Returns global arrays whole, on the host of every process."""
  if jax.process_count() == 1:
    return jax.tree.map(np.asarray, tree)
  from jax.experimental import multihost_utils

  return jax.tree.map(
    np.asarray, multihost_utils.process_allgather(tree, tiled=True)
  )
