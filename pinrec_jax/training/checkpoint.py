"""Checkpoints: asynchronous, the best and the last two kept. Imports Orbax."""

import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from pinrec_jax import sharding
from pinrec_jax.training import compatibility

METRIC = "recall@10"


def _score(metrics: Mapping[str, float]) -> float:
  return float(metrics[METRIC])


class Checkpoints:
  """The checkpoints of one run, each the whole of what resuming needs."""

  def __init__(
    self, folder: pathlib.Path, *, read_only: bool = False, scored: bool = True
  ):
    """Opens the checkpoints of a run.

    Args:
      folder: made if need be.
      read_only: the folder must exist.
      scored: whether checkpoints come with a validation.

    Raises:
      FileNotFoundError: if `read_only` and there is no folder.
    """
    if read_only and not folder.is_dir():
      raise FileNotFoundError(
        f"no checkpoint in {folder}; train first, with the same --workdir"
      )
    keep = policies.AnyPreservationPolicy(
      [
        policies.LatestN(n=2),  # should the last be no good
        policies.BestN(
          get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False
        ),
      ]
    )
    self._manager = ocp.CheckpointManager(
      folder.absolute(),
      options=ocp.CheckpointManagerOptions(
        preservation_policy=keep,
        best_fn=_score if scored else None,
        create=not read_only,
      ),
    )

  @property
  def last(self) -> int | None:
    """The latest step saved."""
    return self._manager.latest_step()

  @property
  def best(self) -> int | None:
    """The step with the best validation."""
    return self._manager.best_step()

  def save(
    self,
    step: int,
    state: Any,
    data: Any,
    metrics: Mapping[str, float] | None,
    network: Mapping[str, Any],
  ) -> None:
    """Starts saving; the state may be donated as soon as this returns.

    Args:
      step: counted from 1.
      state: the training state.
      data: the Grain iterator.
      metrics: the validation's, by which the best is known; None if there
        was none.
      network: what a state must agree with to fit the model.
    """
    if step == self.last:
      return
    self._manager.save(
      step,
      metrics=dict(metrics) if metrics else None,
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
    """Returns the state of a step, laid out on a mesh of any shape.

    Args:
      step: one that was saved.
      like: a state, or the shapes of one.
      mesh: where it goes.
      network: what the running configuration says.
      data: a Grain iterator to wind to the same place, if any.
      ignoring: what of the network need not agree.

    Raises:
      ValueError: if the checkpoint is of another network.
    """
    saved = self._manager.restore(
      step, args=ocp.args.Composite(network=ocp.args.JsonRestore())
    )["network"]
    differing = compatibility.differences(saved, network, ignoring)
    if differing:
      raise ValueError(
        f"checkpoint {self._manager.directory}/{step} is of another "
        f"configuration: {'; '.join(differing)}; use its own, or another "
        "--workdir"
      )
    target = jax.tree.map(
      lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
      like,
      sharding.of_tree(mesh, like),
    )
    parts: dict[str, Any] = {"state": ocp.args.StandardRestore(target)}
    if data is not None:
      parts["data"] = grain.checkpoint.CheckpointRestore(data)
    args = ocp.args.Composite(**parts)
    return self._manager.restore(step, args=args)["state"]

  def metrics(self, step: int) -> dict[str, float]:
    """Returns the validation of a saved step."""
    return dict(self._manager.metrics(step) or {})

  def remove(self, step: int) -> None:
    """Takes a saved step away."""
    self.wait()
    self._manager.delete(step)

  def wait(self) -> None:
    """Returns once everything is on disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Finishes writing."""
    self._manager.close()
