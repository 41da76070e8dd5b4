import dataclasses
import json
import signal

import jax
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.training import checkpoint, logs, loop


@pytest.fixture
def config(brief) -> config_lib.Config:
  return brief


def _same(one, two) -> bool:
  pairs = jax.tree.map(np.array_equal, one, two)
  return all(jax.tree.leaves(pairs))


def test_a_run_stopped_by_sigterm_resumes_bit_equal(
  config, world, logged, tmp_path, monkeypatch
):
  loop.train(config, world, tmp_path / "whole")
  count = logs.Logs.count

  def stopping(self, metrics):
    values = count(self, metrics)
    if self._bar.n == 1:
      signal.raise_signal(signal.SIGTERM)
    return values

  with monkeypatch.context() as patch:
    patch.setattr(logs.Logs, "count", stopping)
    with pytest.raises(loop.RunStoppedError, match="at step 2 of 6"):
      loop.train(config, world, tmp_path / "parts")
  loop.train(config, world, tmp_path / "parts")
  whole, parts = logged(tmp_path / "whole"), logged(tmp_path / "parts")
  assert list(whole) == [1, 2, 3, 4, 5, 6]
  assert whole == parts
  known = world.catalog
  one = loop.best(config, known, tmp_path / "whole")
  two = loop.best(config, known, tmp_path / "parts")
  assert one.step == two.step
  assert _same(one.params, two.params)
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_finished_run_is_not_trained_again(config, world, logged, tmp_path):
  loop.train(config, world, tmp_path)
  before = logged(tmp_path)
  report = loop.train(config, world, tmp_path)
  assert logged(tmp_path) == before
  assert "train_tokens_per_s" not in report
  asked = (tmp_path / "config.json").read_text()
  config.loss.uniform_negatives += 1
  loop.train(config, world, tmp_path)
  assert (tmp_path / "config.json").read_text() == asked


def test_a_stop_asked_for_at_the_very_end_is_heard(
  config, world, tmp_path, monkeypatch
):
  save = checkpoint.Checkpoints.save

  def stopping(self, step, *arguments):
    save(self, step, *arguments)
    if step == config.train.steps:
      signal.raise_signal(signal.SIGTERM)

  monkeypatch.setattr(checkpoint.Checkpoints, "save", stopping)
  with pytest.raises(loop.RunStoppedError, match="once all 6 steps were done"):
    loop.train(config, world, tmp_path)
  assert loop.best(config, world.catalog, tmp_path).step


def test_the_best_and_the_last_checkpoints_are_kept(config, world, tmp_path):
  config.train.steps, config.train.eval_every = 8, 1
  loop.train(config, world, tmp_path)
  kept = {int(p.name) for p in (tmp_path / "checkpoints").iterdir()}
  best = loop.best(config, world.catalog, tmp_path)
  assert kept == {7, 8, best.step}
  rows = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
  found = [row["validation/recall@10"] for row in rows if len(row) == 2]
  assert best.metrics["recall@10"] == max(found)


def test_steps_are_recorded_for_the_profiler(
  config, world, tmp_path, monkeypatch
):
  monkeypatch.setattr(logs, "SETTLED", 2)
  asked = []
  monkeypatch.setattr(jax.profiler, "start_trace", asked.append)
  monkeypatch.setattr(
    jax.profiler, "stop_trace", lambda: asked.append(logged_steps())
  )

  def logged_steps():
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    return sum("loss" in json.loads(line) for line in lines)

  config.train.profile_steps, config.train.log_every = 2, 1
  loop.train(config, world, tmp_path)
  folder, ended = asked
  assert folder == str(tmp_path / "profile")
  assert ended == 3  # the fourth step is under way, the fifth not begun


def test_a_profile_ends_with_its_run(tmp_path):
  with logs.Profile(tmp_path, start=0, steps=5) as profile:
    profile.before(logs.SETTLED)
    assert not (tmp_path / "profile").exists()
    profile.before(logs.SETTLED + 1)
    jax.block_until_ready(jax.numpy.ones(3) + 1)
  assert list((tmp_path / "profile").rglob("*.xplane.pb"))
  profile.before(0)  # and again: nothing is left open


# Warming up, the first step leaves everything as it is; the second does not.
@pytest.mark.parametrize(
  ("every", "refit", "good"),
  [(1, False, "step 1"), (1, True, "step 1"), (4, False, "none")],
)
def test_after_a_loss_that_is_no_number_a_lower_rate_goes_on(
  config, world, tmp_path, every, refit, good
):
  config.train.eval_every, config.train.train_on_validation = every, refit
  rate, config.train.learning_rate = config.train.learning_rate, 1e38
  with pytest.raises(
    loop.RunDivergedError, match=f"step 3; the last good checkpoint is {good}"
  ):
    loop.train(config, world, tmp_path)
  config.train.learning_rate = rate
  loop.train(config, world, tmp_path)
  best = loop.best(config, world.catalog, tmp_path)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(best.params))


def test_a_checkpoint_of_another_network_is_refused(config, world, tmp_path):
  loop.train(config, world, tmp_path)
  told = (tmp_path / "config.json").read_text()
  config.model.hidden_dim, config.model.conditioned = 32, False
  refused = r"conditioned is True there and False here; model\.hidden_dim is 16"
  with pytest.raises(ValueError, match=refused):
    loop.best(config, world.catalog, tmp_path)
  with pytest.raises(ValueError, match=refused):
    loop.train(config, world, tmp_path)
  assert (tmp_path / "config.json").read_text() == told


def test_no_checkpoint_is_said(config, world, tmp_path):
  with pytest.raises(FileNotFoundError, match="train first"):
    loop.best(config, world.catalog, tmp_path)


def test_a_batch_that_does_not_divide_is_refused(config, world, tmp_path):
  config.train.batch_size = 12
  with pytest.raises(ValueError, match="batch 12 does not divide over 8"):
    loop.train(config, world, tmp_path)


def test_a_run_may_begin_with_anothers_weights(config, world, tmp_path):
  loop.train(config, world, tmp_path / "all")
  before = loop.best(config, world.catalog, tmp_path / "all")
  config.train.init_from = str(tmp_path / "all")
  config.train.learning_rate = 1e-12
  aim = world.vocabulary.aim("search", "save,like")
  world = dataclasses.replace(world, aim=aim)
  report = loop.train(config, world, tmp_path / "search")
  after = loop.best(config, world.catalog, tmp_path / "search")
  near = jax.tree.map(np.allclose, before.params, after.params)
  assert all(jax.tree.leaves(near))
  assert report["inherited_step"] == before.step
  assert report["inherited_parameters"] == report["parameters"]
  # Going on, it takes nothing over again.
  config.train.steps += 1
  assert "inherited_step" not in loop.train(config, world, tmp_path / "search")


def test_a_refit_may_begin_with_a_run_that_was_none(config, world, tmp_path):
  loop.train(config, world, tmp_path / "all")
  config.train.init_from, config.train.train_on_validation = (
    str(tmp_path / "all"),
    True,
  )
  assert loop.train(config, world, tmp_path / "refit")["inherited_step"]


def test_weights_of_another_network_are_refused(config, world, tmp_path):
  loop.train(config, world, tmp_path / "all")
  config.train.init_from = str(tmp_path / "all")
  config.model.hidden_dim = 32
  with pytest.raises(
    ValueError, match=r"model\.hidden_dim is 16 there and 32 here"
  ):
    loop.train(config, world, tmp_path / "other")


def test_a_missing_run_to_begin_with_is_named(config, world, tmp_path):
  config.train.init_from = str(tmp_path / "absent")
  with pytest.raises(FileNotFoundError, match=r"no checkpoint in .*absent"):
    loop.train(config, world, tmp_path)
