"""Checkpoints of a run, written in the background. The only Orbax code."""

import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from pinrec_jax import sharding
from pinrec_jax.training import compatibility

METRIC = "recall@10"  # Of the validation; it decides which step is the best.
STALE = "validations_without_gain"  # Saved beside the metrics.
KEPT = 2  # Latest checkpoints that are kept, in case the last one is no good.


def _score(metrics: Mapping[str, float]) -> float:
  """Returns the validation metric; a step without validation is the worst."""
  return float(metrics.get(METRIC, -1.0))


class Checkpoints:
  """The checkpoints of one run: the best one and the last two.

  Each holds all that resuming needs.

  Attributes:
    stale: validations in a row, up to the last step, without a new best.
  """

  def __init__(self, folder: pathlib.Path, *, read_only: bool = False):
    """Opens the checkpoints of a run.

    Args:
      folder: folder of the checkpoints; it is created if needed.
      read_only: whether the folder must exist already.

    Raises:
      FileNotFoundError: if `read_only` and there is no folder.
    """
    if read_only and not folder.is_dir():
      raise FileNotFoundError(
        f"there is no checkpoint in {folder}; train first, with the same "
        "--workdir"
      )
    keep = policies.AnyPreservationPolicy(
      [
        policies.LatestN(n=KEPT),
        policies.BestN(get_metric_fn=_score, n=1),
      ]
    )
    self._manager = ocp.CheckpointManager(
      folder.absolute(),
      options=ocp.CheckpointManagerOptions(
        preservation_policy=keep, best_fn=_score, create=not read_only
      ),
    )

    self._best_score, self.stale = -1.0, 0
    if self.last is not None:
      self._best_score = _score(self.metrics(self.best or 0))
      self.stale = int(self.metrics(self.last).get(STALE, 0))

  @property
  def last(self) -> int | None:
    """The last step that was saved."""
    return self._manager.latest_step()

  @property
  def best(self) -> int | None:
    """The step with the best validation; without validations, the last one.

    Of equal validations, the last is the best.
    """
    return self._manager.best_step() or self.last

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
    self._manager.save(
      step,
      metrics={**metrics, STALE: float(self.stale)},
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        data=grain.checkpoint.CheckpointSave(data),
        network=ocp.args.JsonSave(dict(network)),
      ),
    )

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
      ValueError: if the checkpoint does not fit the run.
    """
    differing = compatibility.differences(
      self._network(step), network, ignoring
    )
    if differing:
      raise ValueError(
        f"checkpoint {self._manager.directory}/{step} does not fit this run: "
        f"{differing}; use another --workdir, or train again"
      )
    target = jax.tree.map(
      lambda x, layout: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout),
      like,
      sharding.of_tree(mesh, like),
    )
    parts: dict[str, Any] = {"state": ocp.args.StandardRestore(target)}
    if data is not None:
      parts["data"] = grain.checkpoint.CheckpointRestore(data)
    args = ocp.args.Composite(**parts)
    return self._manager.restore(step, args=args)["state"]

  def _network(self, step: int) -> Mapping[str, Any]:
    """Returns the network of a saved step; empty if other code wrote it."""
    args = ocp.args.Composite(network=ocp.args.JsonRestore())
    try:
      return self._manager.restore(step, args=args)["network"]
    except (FileNotFoundError, KeyError, ValueError):
      return {}

  def metrics(self, step: int) -> dict[str, float]:
    """Returns the validation metrics of a saved step."""
    return dict(self._manager.metrics(step) or {})

  def remove(self, step: int) -> None:
    """Deletes a saved step."""
    self.wait()
    self._manager.delete(step)

  def wait(self) -> None:
    """Returns once everything is on disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Finishes writing."""
    self._manager.close()
