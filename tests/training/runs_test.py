"""How a run starts: new, resumed, or from the weights of another run."""

import dataclasses
import json

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.training import checkpoint, loop, runs


def _checkpoint_of_another_version(workdir):
  """Writes a checkpoint whose network has names of an older version."""
  checkpoints = checkpoint.Checkpoints(workdir / runs.CHECKPOINTS)
  data = iter(grain.MapDataset.range(8).to_iter_dataset())
  older = {"items": 6672, "loss.counts": "exact", "model.width": 64}
  checkpoints.save(1, {"params": np.ones(2)}, data, {}, older)
  checkpoints.close()


def test_a_finished_run_is_not_trained_again(brief, world, logged, tmp_path):
  assert not runs.is_finished(brief, tmp_path)
  loop.train(brief, world, tmp_path)
  assert runs.is_finished(brief, tmp_path)
  before = logged(tmp_path)
  report = loop.train(brief, world, tmp_path)
  assert logged(tmp_path) == before
  assert report.train_seconds == 0
  assert "train_tokens_per_s" not in report.figures()
  written = (tmp_path / "config.json").read_text()
  brief.loss.uniform_negatives += 1
  loop.train(brief, world, tmp_path)
  assert (tmp_path / "config.json").read_text() == written
  brief.train.steps += 1
  assert not runs.is_finished(brief, tmp_path)


def test_a_checkpoint_of_another_configuration_is_refused(
  brief, world, tmp_path
):
  loop.train(brief, world, tmp_path)
  written = (tmp_path / "config.json").read_text()
  brief.model.hidden_dim, brief.model.conditioned = 32, False
  refused = (
    r"checkpoints/\d+ does not fit this run: model.conditioned is True there "
    r"and False here; model\.hidden_dim is 16 .*; use another --workdir"
  )
  with pytest.raises(ValueError, match=refused):
    runs.best(brief, world.catalog, tmp_path)
  with pytest.raises(ValueError, match=refused):
    loop.train(brief, world, tmp_path)
  assert (tmp_path / "config.json").read_text() == written


def test_a_checkpoint_of_another_version_is_refused_in_one_sentence(
  brief, world, tmp_path
):
  _checkpoint_of_another_version(tmp_path)
  for call in (
    lambda: loop.train(brief, world, tmp_path),
    lambda: runs.best(brief, world.catalog, tmp_path),
  ):
    with pytest.raises(ValueError, match="another version of pinrec_jax") as e:
      call()
    assert "use another --workdir, or train again" in str(e.value)
    assert "loss.counts" not in str(e.value)
  brief.train.init_from = str(tmp_path)
  with pytest.raises(ValueError, match="another version of pinrec_jax"):
    loop.train(brief, world, tmp_path / "new")


def test_a_checkpoint_of_other_software_is_refused(brief, world, tmp_path):
  manager = ocp.CheckpointManager(tmp_path / runs.CHECKPOINTS)
  manager.save(3, args=ocp.args.StandardSave({"weights": np.ones(2)}))
  manager.close()
  with pytest.raises(ValueError, match="another version of pinrec_jax"):
    loop.train(brief, world, tmp_path)


def test_a_run_without_checkpoint_says_to_train_first(brief, world, tmp_path):
  with pytest.raises(FileNotFoundError, match="train first"):
    runs.best(brief, world.catalog, tmp_path)
  (tmp_path / runs.CHECKPOINTS).mkdir()
  with pytest.raises(FileNotFoundError, match="train first"):
    runs.best(brief, world.catalog, tmp_path)


def test_a_run_can_start_from_the_weights_of_another(brief, world, tmp_path):
  loop.train(brief, world, tmp_path / "all")
  before = runs.best(brief, world.catalog, tmp_path / "all")
  brief.train.init_from = str(tmp_path / "all")
  brief.train.learning_rate = 1e-12
  aim = world.vocabulary.aim("search", "save,like")
  world = dataclasses.replace(world, aim=aim)
  report = loop.train(brief, world, tmp_path / "search")
  after = runs.best(brief, world.catalog, tmp_path / "search")
  near = jax.tree.map(np.allclose, before.params, after.params)
  assert all(jax.tree.leaves(near))
  assert report.inherited_step == before.step
  # A resumed run keeps its own weights.
  brief.train.steps += 1
  report = loop.train(brief, world, tmp_path / "search")
  assert report.inherited_step is None
  assert "inherited_step" not in report.figures()


@pytest.mark.slow
def test_training_on_validation_can_start_from_a_run_that_did_not(
  brief, world, tmp_path
):
  loop.train(brief, world, tmp_path / "all")
  brief.train.init_from = str(tmp_path / "all")
  brief.train.train_on_validation = True
  assert loop.train(brief, world, tmp_path / "more").inherited_step


def test_weights_of_another_configuration_are_refused(brief, world, tmp_path):
  loop.train(brief, world, tmp_path / "all")
  brief.train.init_from = str(tmp_path / "all")
  brief.model.hidden_dim = 32
  with pytest.raises(
    ValueError, match=r"model\.hidden_dim is 16 there and 32 here"
  ):
    loop.train(brief, world, tmp_path / "other")


def test_a_missing_run_to_start_from_is_named(brief, world, tmp_path):
  brief.train.init_from = str(tmp_path / "absent")
  with pytest.raises(FileNotFoundError, match=r"no checkpoint in .*absent"):
    loop.train(brief, world, tmp_path)


def test_the_best_and_the_last_two_checkpoints_are_kept(brief, world, tmp_path):
  brief.train.steps, brief.train.eval_every = 8, 1
  loop.train(brief, world, tmp_path)
  kept = {int(p.name) for p in (tmp_path / runs.CHECKPOINTS).iterdir()}
  best = runs.best(brief, world.catalog, tmp_path)
  assert kept == {7, 8, best.step}
  rows = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
  found = [row["validation/recall@10"] for row in rows if len(row) == 2]
  assert best.metrics["recall@10"] == max(found)


def test_another_checkpoint_is_read_if_the_best_one_is_damaged(
  brief, world, tmp_path, capsys
):
  loop.train(brief, world, tmp_path)
  steps = {3, 6}
  for count in (1, 2):
    best = runs.best(brief, world.catalog, tmp_path).step
    assert best in steps
    steps.remove(best)
    folder = tmp_path / runs.CHECKPOINTS / str(best)
    path = max(folder.rglob("*"), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    if count == 1:
      assert runs.best(brief, world.catalog, tmp_path).step in steps
      assert f"{path} is damaged" in capsys.readouterr().err
  with pytest.raises(FileNotFoundError, match="only damaged checkpoints in"):
    runs.best(brief, world.catalog, tmp_path)


@pytest.mark.slow
def test_without_validations_the_last_two_checkpoints_are_kept(
  brief, world, tmp_path
):
  brief.train.train_on_validation = True
  brief.train.steps, brief.train.eval_every = 5, 1
  loop.train(brief, world, tmp_path)
  kept = {int(p.name) for p in (tmp_path / runs.CHECKPOINTS).iterdir()}
  assert kept == {4, 5}
  best = runs.best(brief, world.catalog, tmp_path)
  assert best.step == 5
  assert best.metrics == {}


def test_a_run_keeps_the_values_that_it_took_from_the_log(
  brief, world, tmp_path
):
  following = config_lib.replace(
    brief,
    **{
      "index.filter_seen": "auto",
      "model.hidden_dim": 0,
      "train.steps": 0,
      "evals.sweep": ("*",),
    },
  )
  # Without a checkpoint, the log decides.
  assert runs.settled(following, tmp_path) == following
  brief.evals.sweep, brief.index.filter_seen = ("save",), "exposures"
  loop.train(brief, world, tmp_path)
  assert runs.settled(following, tmp_path) == brief
  # A value that is given stays.
  given = config_lib.replace(following, **{"index.filter_seen": "nothing"})
  assert runs.settled(given, tmp_path).index.filter_seen == "nothing"
