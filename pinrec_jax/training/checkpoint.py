"""Checkpoints of a run, written in the background. The only Orbax code."""

import pathlib
import sys
from collections.abc import Collection, Container, Mapping
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from pinrec_jax import files, sharding
from pinrec_jax.training import checkpoint_files, compatibility

METRIC = "recall@10"  # Of the validation; it decides which step is the best.
STALE = "validations_without_gain"  # Saved beside the metrics.
KEPT = 2  # Latest checkpoints that are kept, in case the last one is no good.
PLACE = "metrics"  # Folder and file of the validation metrics.


def _score(metrics: Mapping[str, float]) -> float:
  """Returns the validation metric; a step without validation is the worst."""
  return float(metrics.get(METRIC, -1.0))


class Checkpoints:
  """The checkpoints of one run: the best one and the last two.

  Each holds all that resuming needs, and digests of its files.

  Attributes:
    stale: validations in a row, up to the last step, without a new best.
  """

  def __init__(self, folder: pathlib.Path, *, read_only: bool = False):
    """Opens the checkpoints of a run.

    Args:
      folder: folder of the checkpoints; it is created if needed.
      read_only: whether the folder must exist already. If not, checkpoints of
        which a small file is damaged are set aside.

    Raises:
      DamagedError: if all checkpoints were damaged.
      FileNotFoundError: if `read_only` and there is no folder.
    """
    if read_only and not folder.is_dir():
      raise FileNotFoundError(
        f"there is no checkpoint in {folder}; train first, with the same "
        "--workdir"
      )
    self._folder = folder.absolute()
    if not read_only:
      self._folder.mkdir(parents=True, exist_ok=True)
      self._set_aside(self._damaged())
    self._plain = checkpoint_files.Plain(self._folder)
    self._reader = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
    # A manager would read the metrics of all steps, damaged or not.
    self._manager = None if read_only else self._writer()
    self._best_score, self.stale = self._history()

  def _history(self) -> tuple[float, int]:
    """Returns the best metric, and the validations since without a gain."""
    steps = self._ordered(self._damaged())
    if not steps:
      return -1.0, 0
    last = int(self._stored(max(steps)).get(STALE, 0))
    return _score(self.metrics(steps[0])), last

  def _writer(self) -> ocp.CheckpointManager:
    """Returns what writes checkpoints and deletes old ones."""
    keep = policies.AnyPreservationPolicy(
      [
        policies.LatestN(n=KEPT),
        policies.BestN(get_metric_fn=_score, n=1),
      ]
    )
    finish = ocp.AsyncOptions(post_finalization_callback=self._finish)
    return ocp.CheckpointManager(
      self._plain.path,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=keep, best_fn=_score, async_options=finish
      ),
    )

  @property
  def _written(self) -> ocp.CheckpointManager:
    if self._manager is None:
      raise ValueError(f"{self._folder} was opened for reading")
    return self._manager

  def _damaged(self) -> dict[int, checkpoint_files.DamagedError]:
    """Returns the steps of which a small file is damaged."""
    found = {}
    for step in checkpoint_files.steps(self._folder):
      try:
        checkpoint_files.check(self._folder / str(step), large=False)
      except checkpoint_files.DamagedError as error:
        found[step] = error
    return found

  def _set_aside(
    self, damaged: Mapping[int, checkpoint_files.DamagedError]
  ) -> None:
    """Renames damaged checkpoints, so that nothing reads them.

    Raises:
      DamagedError: if no checkpoint is left.
    """
    for step, error in damaged.items():
      # All processes have seen the damage before one of them renames it.
      sharding.wait_for_all(f"damaged {step}")
      if jax.process_index() == 0:
        place = checkpoint_files.set_aside(self._folder / str(step))
        print(f"{error}. It is set aside as {place}", file=sys.stderr)
      sharding.wait_for_all(f"set aside {step}")
    if damaged and not checkpoint_files.steps(self._folder):
      raise checkpoint_files.DamagedError(
        f"all checkpoints of {self._folder} were damaged and are set aside; "
        "the same command trains from the start"
      )

  def _finish(self) -> None:
    """Stores the digests of a checkpoint just before it gets its name."""
    if jax.process_index() == 0:
      checkpoint_files.write_digests(self._folder)

  @property
  def last(self) -> int | None:
    """The last step that was saved."""
    if self._manager is not None:  # It knows the step that is being written.
      return self._manager.latest_step()
    return next(iter(checkpoint_files.steps(self._folder)), None)

  @property
  def best(self) -> int | None:
    """The step with the best validation; without validations, the last one.

    Of equal validations, the last is the best. Damaged checkpoints are left
    out.
    """
    return next(iter(self._ordered(self._damaged())), None)

  @property
  def by_score(self) -> list[int]:
    """The good steps, the best first, as in `best`.

    It says which steps are left out because a small file is damaged.
    """
    damaged = self._damaged()
    for error in damaged.values():
      print(f"{error}. Another checkpoint is read", file=sys.stderr)
    return self._ordered(damaged)

  def _ordered(self, damaged: Container[int]) -> list[int]:
    """Returns the steps that are not damaged, the best first."""
    steps = checkpoint_files.steps(self._folder)
    good = [step for step in steps if step not in damaged]
    return sorted(good, key=lambda n: _score(self.metrics(n)), reverse=True)

  def save(
    self,
    step: int,
    state: Any,
    data: Any,
    metrics: Mapping[str, float],
    network: Mapping[str, Any],
  ) -> None:
    """Starts saving; the state may be donated as soon as this returns.

    Args:
      step: number of the step, from 1.
      state: the training state.
      data: the Grain iterator.
      metrics: metrics of the validation; empty without a validation.
      network: what a run must agree with to read the checkpoint.
    """
    if step == self.last:
      return
    if METRIC in metrics:
      gained = _score(metrics) > self._best_score
      self.stale = 0 if gained else self.stale + 1
      self._best_score = max(self._best_score, _score(metrics))
    self._written.save(
      step,
      metrics={**metrics, STALE: float(self.stale)},
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        data=grain.checkpoint.CheckpointSave(data),
        network=ocp.args.JsonSave(dict(network)),
      ),
    )

  def resume(
    self,
    like: Any,
    mesh: jax.sharding.Mesh,
    network: Mapping[str, Any],
    data: Any,
  ) -> Any:
    """Returns the state of the last good step; None without checkpoints.

    Damaged checkpoints are set aside. Arguments as `restore`.

    Raises:
      DamagedError: if all checkpoints were damaged.
      ValueError: if a checkpoint does not fit the run.
    """
    while (step := self.last) is not None:
      try:
        return self.restore(step, like, mesh, network, data)
      except checkpoint_files.DamagedError as error:
        self._set_aside({step: error})
        self._written.reload()
        self._best_score, self.stale = self._history()
    return None

  def restore(
    self,
    step: int,
    like: Any,
    mesh: jax.sharding.Mesh,
    network: Mapping[str, Any],
    data: Any = None,
    ignoring: Collection[str] = (),
  ) -> Any:
    """Returns the state of a step, on a mesh of any shape.

    Args:
      step: a step that was saved.
      like: a state, or its shapes.
      mesh: the mesh.
      network: `compatibility.network` of the run.
      data: a Grain iterator to set to the same place, if any.
      ignoring: names of the network that need not agree.

    Raises:
      DamagedError: naming a damaged file.
      ValueError: if the checkpoint does not fit the run.
    """
    folder = self._folder / str(step)
    checkpoint_files.check(folder, large=False)
    differing = compatibility.differences(
      self._network(step), network, ignoring
    )
    if differing:
      raise ValueError(
        f"checkpoint {folder} does not fit this run: {differing}; use another "
        "--workdir, or train again"
      )
    checkpoint_files.require_digests(folder)
    target = jax.tree.map(
      lambda x, layout: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout),
      like,
      sharding.of_tree(mesh, like),
    )
    with checkpoint_files.checked(folder):
      state = self._read(step, state=ocp.args.StandardRestore(target))
    if data is not None:
      self._read(step, data=grain.checkpoint.CheckpointRestore(data))
    return state

  def _read(self, step: int, **part: Any) -> Any:
    (name,) = part
    args = ocp.args.Composite(**part)
    return self._reader.restore(self._plain.path / str(step), args=args)[name]

  def _network(self, step: int) -> Mapping[str, Any]:
    """Returns the network of a saved step; empty if other code wrote it."""
    try:
      return self._read(step, network=ocp.args.JsonRestore())
    except (FileNotFoundError, KeyError, ValueError):
      return {}

  def metrics(self, step: int) -> dict[str, float]:
    """Returns the validation metrics of a saved step; empty without any."""
    stored = self._stored(step)
    stored.pop(STALE, None)
    return stored

  def _stored(self, step: int) -> dict[str, float]:
    path = self._folder / str(step) / PLACE / PLACE
    return files.read_json(path) if path.is_file() else {}

  def remove(self, step: int) -> None:
    """Deletes a saved step."""
    self.wait()
    self._written.delete(step)

  def wait(self) -> None:
    """Returns once everything is on disk."""
    self._written.wait_until_finished()

  def close(self) -> None:
    """Finishes writing."""
    if self._manager is not None:
      self._manager.close()
    self._reader.close()
    self._plain.close()
