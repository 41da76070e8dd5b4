"""The device mesh, and how arrays are laid out on it.

No other file names a mesh axis.
"""

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Shaped

from pinrec_jax.types import AnyArray

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
# By default, the TPU compiler makes a loop of each product with a kernel that
# fsdp splits. The loop adds to the whole result in memory once per device.
# Gathering the kernel first moves half as many bytes of memory.
TPU_FLAGS = "--xla_jf_spmd_threshold_for_windowed_einsum_mib=1000000"


def require_device() -> None:
  """Raises ValueError if JAX has no device, or if 64-bit mode is on.

  Call it before JAX's first use of a device: a TPU then gets `TPU_FLAGS`.
  """
  os.environ.setdefault("LIBTPU_INIT_ARGS", TPU_FLAGS)
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


def layouts(mesh: Mesh) -> tuple[NamedSharding, NamedSharding]:
  """Returns two layouts: rows split over all devices, and copied to each."""
  split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
  return split, NamedSharding(mesh, PartitionSpec())


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


def _size(mesh: Mesh | AbstractMesh, axes: str | tuple[str, ...]) -> int:
  """Returns the number of devices along one axis or several."""
  names = (axes,) if isinstance(axes, str) else axes
  return int(np.prod([mesh.shape[name] for name in names]))


def table_shards(mesh: Mesh | AbstractMesh) -> int:
  """Returns the number of devices that split the rows of a table."""
  return _size(mesh, (FSDP, MODEL))


def row_ways() -> int:
  """Returns the number of devices that split the rows of a batch.

  Devices along the model axis hold the same rows. Without `jax.set_mesh`, all
  devices split them.
  """
  mesh = jax.sharding.get_abstract_mesh()
  return jax.device_count() if mesh.empty else _size(mesh, BATCH)


def copied(x: Shaped[Array, "*n"]) -> Shaped[Array, "*n"]:
  """Returns an array that every device holds, within `jax.set_mesh`.

  Otherwise, XLA may split it and communicate whenever it is read.
  """
  if jax.sharding.get_abstract_mesh().empty:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec())


def by_rows(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a function that each device applies to its own rows of a batch.

  XLA splits its own operations by itself, but no kernel. Without
  `jax.set_mesh`, this is the function itself.

  Args:
    function: maps arrays [b ...] to arrays [b ...]. The result of a row depends
      on that row alone.
  """
  if jax.sharding.get_abstract_mesh().empty:
    return function
  rows = PartitionSpec(BATCH)
  return jax.shard_map(function, in_specs=rows, out_specs=rows, check_vma=False)


def look_up(
  table: Float[Array, "v d"], index: Int[AnyArray, "*n"]
) -> Float[Array, "*n d"]:
  """Returns rows of a table; an index of -1 gives any row.

  Within `jax.set_mesh`, devices split the table and the indices. Each device
  gets the indices of its group, reads the rows that it holds, and the group
  adds and splits what was found. By itself, XLA may copy a table.

  Args:
    table: a table that devices split as `RULES` say.
    index: row of each vector. Its first axis is split, if it divides.
  """
  mesh = jax.sharding.get_abstract_mesh()
  shards = 1 if mesh.empty else table_shards(mesh)
  if shards == 1 or len(index) % row_ways() or len(table) % shards:
    return table[index]

  def _of_group(
    table: Float[Array, "_ d"], index: Int[Array, "*_"]
  ) -> Float[Array, "*_ d"]:
    index = jax.lax.all_gather(index, FSDP, tiled=True)
    shard = jax.lax.axis_index(FSDP) * mesh.shape[MODEL]
    place = index - (shard + jax.lax.axis_index(MODEL)) * len(table)
    held = (place >= 0) & (place < len(table))
    found = table[jnp.where(held, place, 0)] * held[..., None]
    found = jax.lax.psum_scatter(found, FSDP, tiled=True)
    return jax.lax.psum(found, MODEL)

  return jax.shard_map(
    _of_group,
    in_specs=(PartitionSpec((FSDP, MODEL)), PartitionSpec(BATCH)),
    out_specs=PartitionSpec(BATCH),
    check_vma=False,
  )(table, jnp.asarray(index))


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
    parts = [*axes, *[None] * leaf.ndim][: leaf.ndim]
    for place, size in enumerate(leaf.shape):
      axis = parts[place]
      ways = _size(mesh, axis or ())
      if size % ways and axis == FSDP:
        # Fsdp only saves memory, so it may split a later axis instead.
        parts[place] = None
        for other in range(place + 1, leaf.ndim):
          if parts[other] is None and leaf.shape[other] % ways == 0:
            parts[other] = FSDP
            break
      elif size % ways:
        raise ValueError(
          f"{name} of shape {leaf.shape} does not divide over the {ways} "
          f"devices of axis {axis!r}; make {size} a multiple of {ways}"
        )
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
