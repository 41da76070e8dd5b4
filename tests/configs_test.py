"""Every configuration that is shipped is valid and can be trained."""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from pinrec_jax import rules
from pinrec_jax.claims import suite
from pinrec_jax.data import pipeline
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

FOLDER = pathlib.Path(__file__).parent.parent / "configs"


def _module(name):
  spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
  assert spec is not None
  assert spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


FILES = [path.relative_to(FOLDER) for path in sorted(FOLDER.rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_is_valid_and_names_its_command(path):
  module = _module(str(path.with_suffix("")))
  config = module.get_config()
  if isinstance(config, suite.Suite):
    assert suite.trainings(config)
  else:
    rules.validate(config)
  assert f"--config=configs/{path}" in str(module.__doc__)


def test_movielens_may_be_told_its_targets_time():
  module = _module("ml_1m")
  told = module.get_config("told_time")
  rules.validate(told)
  assert told.evals.oracle_time
  assert not module.get_config().evals.oracle_time
  with pytest.raises(ValueError, match="'oracle' is unknown; choose told_time"):
    module.get_config("oracle")


@pytest.mark.parametrize("log", _module("claims").LOGS)
def test_claims_hold_together_on_every_log(log):
  module = _module("claims")
  every = module.get_config(log)
  assert suite.trainings(every)
  for row in every.rows:
    alone = {row: every.rows[row]}
    assert module.get_config(f"{log}/{row}").rows == alone
    assert _module(f"claims/{row}").get_config(log).rows == alone
  assert list(module.get_config(f"{log}/budget,logq").rows) == [
    "budget",
    "logq",
  ]
  with pytest.raises(ValueError, match="row 'lift' is unknown"):
    module.get_config(f"{log}/lift")


# An arm that is shown beside a row's comparisons, and stops where its
# validation recall falls.
SHOWN_BESIDE = {("mini", "finetune"): "that one"}


@pytest.mark.parametrize("log", _module("claims").LOGS)
def test_claims_compare_models_of_equal_training(log):
  module = _module("claims")
  every = module.get_config(log)
  for name, row in every.rows.items():
    beside = SHOWN_BESIDE.get((log, name))
    assert beside not in {a for t in row.tests for a in (t.arm, t.over)}
    trained = {
      (
        train.steps,
        train.batch_size,
        train.learning_rate,
        train.train_on_validation,
      )
      for own, arm in row.arms.items()
      if arm.after is None and own != beside
      for train in [suite.asked(every.base, arm).train]
    }
    assert len(trained) == 1, name
    if name in module.SHORTER.get(log, ()):
      assert trained == {(3000, 8, 2e-3, True)}


def test_claims_compare_models_at_equal_vectors(mini):
  claims = _module("claims")
  assert mini.vocabulary.outcome_names == claims.OUTCOMES["mini"]
  arms = claims.get_config("mini/oc_over_uc").rows["oc_over_uc"].arms
  assert arms["UC, more steps"].ask["decode.steps"] == len(
    mini.vocabulary.outcome_names
  )


def test_every_claim_is_a_row():
  files = {path.stem for path in FILES if path.parent.name == "claims"}
  assert files == set(_module("claims").ROWS)


@pytest.mark.parametrize("log", _module("family").LOGS)
@pytest.mark.parametrize("model", _module("family").MODELS)
def test_every_member_of_the_family_is_valid_on_every_log(log, model):
  config = _module("family").get_config(f"{log}/{model}")
  rules.validate(config)
  assert bool(config.decode.budget) == config.model.conditioned


@pytest.mark.parametrize("name", _module("family").MODELS)
def test_every_member_of_the_family_learns(world, name):
  config = _module("family").get_config(name)
  config.decode.budget = ""
  # This log is too short for its gaps to be fitted.
  config.model.offset_edges = config.model.offset_edges or (43_201, 100_000)
  config.data.sequence_length, config.train.warmup_steps = 12, 1
  config.model.hidden_dim = config.model.embedding_dim = 16
  (
    config.model.table_size,
    config.loss.in_batch_negatives,
    config.loss.uniform_negatives,
  ) = 64, 32, 16
  rows, corpus = training_data.packed(config, world)
  corpus = jax.tree.map(jax.numpy.asarray, corpus)
  batch = next(pipeline.batches(rows, batch=16, seed=0))
  model = pinrec.of_config(config, world.vocabulary)
  transform = optimizer.build(config.train)
  state = state_lib.create(model, transform)
  losses = []
  for _ in range(16):
    state, metrics = step_lib.train_step(
      state, batch, corpus,
      model=model, transform=transform, config=config.loss, seed=0,
    )  # fmt: skip
    losses.append(float(metrics["loss"]))
  assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:2])


@pytest.mark.parametrize(
  ("name", "complaint"),
  [
    ("bert", r"model 'bert' is unknown; .*sasrec"),
    ("moon/oc", r"log 'moon' is unknown; .*ml_1m"),
  ],
)
def test_an_unknown_member_is_named(name, complaint):
  with pytest.raises(ValueError, match=complaint):
    _module("family").get_config(name)
