"""The device mesh, and how arrays are laid out on it.

No other file names a mesh axis.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

DATA, FSDP, MODEL = "data", "fsdp", "model"
BATCH = (DATA, FSDP)  # Axes that split the rows of a batch.

# The first rule that matches a parameter's path gives its axes. Parameters
# without a rule are replicated. An optimizer moment has the path of its
# parameter, so it gets the same layout.
RULES = (
  (r"item_embedder/table_\d+", ((FSDP, MODEL), None)),
  (r"mlp_in/kernel", (FSDP, MODEL)),
  (r"mlp_out/kernel", (MODEL, FSDP)),
  (r"/kernel$", (FSDP, None)),
)
STACK = r"backbone/blocks/"  # Arrays with a leading axis of layers.


def require_device() -> None:
  """Raises ValueError if JAX has no device, or if 64-bit mode is on."""
  try:
    jax.devices()
  except (RuntimeError, AssertionError) as error:
    platforms = os.environ.get("JAX_PLATFORMS", "")
    cause = f": {error}" if str(error) else ""
    raise ValueError(
      f"JAX finds no device (JAX_PLATFORMS is {platforms!r}{cause}); install "
      "the driver and the extra of your device (cuda12, cuda13 or tpu), or set "
      "JAX_PLATFORMS=cpu"
    ) from error
  if jax.config.values["jax_enable_x64"]:
    raise ValueError(
      "JAX_ENABLE_X64 is set, and the model is trained in 32 bits; unset it"
    )


def device_mesh(
  model: int = 1, fsdp: int = 1, devices: Sequence[Any] | None = None
) -> Mesh:
  """Returns a mesh with the axes data, fsdp and model.

  A batch is split along data and fsdp. Parameters and their moments are
  replicated along data. Along fsdp each device holds a part of them and gathers
  the others when it needs them (ZeRO, arXiv 1910.02054). Along model they stay
  split.

  Args:
    model: devices along the model axis.
    fsdp: devices along the fsdp axis.
    devices: by default all devices.

  Raises:
    ValueError: if the axes do not divide the number of devices.
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


def row_shard(mesh: Mesh) -> tuple[int, int]:
  """Returns which shard of a batch's rows this process holds, and of how many.

  Processes along the model axis hold the same rows.

  Raises:
    ValueError: if two processes hold some rows in common and not all.
  """
  held: dict[int, set[int]] = {}
  for row, devices in enumerate(mesh.devices.reshape(-1, mesh.shape[MODEL])):
    for device in devices:
      held.setdefault(device.process_index, set()).add(row)
  shards = sorted({tuple(sorted(rows)) for rows in held.values()})
  if sum(map(len, shards)) > len(set().union(*held.values())):
    local = mesh.devices.size // len(held)
    raise ValueError(
      f"train.model_axis {mesh.shape[MODEL]} does not fit the {local} devices "
      f"of a process; use a divisor or a multiple of {local}"
    )
  return shards.index(tuple(sorted(held[jax.process_index()]))), len(shards)


def check_batch(mesh: Mesh, batch: int, parts: int) -> None:
  """Raises ValueError unless the parts of a batch divide over the devices."""
  ways = int(np.lcm(_size(mesh, BATCH), row_shard(mesh)[1]))
  if batch % (ways * parts):
    raise ValueError(
      f"train.batch_size {batch} does not divide over {ways} devices, in "
      f"train.grad_accumulation {parts} parts; use a multiple of {ways * parts}"
    )


def _size(mesh: Mesh, axes: str | tuple[str, ...]) -> int:
  """Returns the number of devices along one axis or several."""
  names = (axes,) if isinstance(axes, str) else axes
  return int(np.prod([mesh.shape[name] for name in names]))


def of_tree(mesh: Mesh, tree: Any) -> Any:
  """Returns the layout of every array of a state, by the rules.

  Raises:
    ValueError: if a size does not divide over the devices of its axis.
  """

  def _of_leaf(path: tuple, leaf: Any) -> NamedSharding:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    axes = next((axes for rule, axes in RULES if re.search(rule, name)), ())
    if re.search(STACK, name):
      axes = (None, *axes)
    parts = []
    for size, axis in zip(leaf.shape, axes, strict=False):
      ways = _size(mesh, axis or ())
      if size % ways and axis == FSDP:
        axis = None  # Fsdp only saves memory.
      elif size % ways:
        raise ValueError(
          f"{name} of shape {leaf.shape} does not divide over the {ways} "
          f"devices of axis {axis!r}; make {size} a multiple of {ways}"
        )
      parts.append(axis)
    return NamedSharding(mesh, PartitionSpec(*parts))

  return jax.tree.map_with_path(_of_leaf, tree)


def from_rows(mesh: Mesh, local: Any) -> Any:
  """Returns the global batch, given each process's rows of it."""
  layout = NamedSharding(mesh, PartitionSpec(BATCH))
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(layout, x), local
  )


def from_all(mesh: Mesh, whole: Any) -> Any:
  """Returns replicated arrays, given the same arrays on every process."""
  layout = NamedSharding(mesh, PartitionSpec())
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(layout, np.asarray(x)),
    whole,
  )


def wait_for_all(name: str) -> None:
  """Returns once every process has called it with the same name."""
  if jax.process_count() > 1:
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices(name)


def on_host(tree: Any) -> Any:
  """Returns global arrays as whole NumPy arrays, on every process."""
  if jax.process_count() == 1:
    return jax.tree.map(np.asarray, tree)
  from jax.experimental import multihost_utils

  return jax.tree.map(
    np.asarray, multihost_utils.process_allgather(tree, tiled=True)
  )
