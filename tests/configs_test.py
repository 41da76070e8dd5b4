"""Every configuration that is shipped is valid and can be trained."""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from pinrec_jax import validation
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
  validation.validate(module.get_config())
  assert f"--config=configs/{path}" in str(module.__doc__)


def test_movielens_has_a_variant_with_oracle_time():
  module = _module("ml_1m")
  oracle = module.get_config("oracle_time")
  validation.validate(oracle)
  assert oracle.evals.oracle_time
  assert not module.get_config().evals.oracle_time
  with pytest.raises(ValueError, match="'told' is unknown; choose oracle_time"):
    module.get_config("told")


def test_kuairand_pure_has_a_variant_without_order():
  module = _module("kuairand_pure")
  pooled = module.get_config("pooled")
  validation.validate(pooled)
  assert pooled.model.backbone == "pooled"
  assert pooled.model.conditioned
  with pytest.raises(ValueError, match="backbone 'rnn' is unknown; choose"):
    module.get_config("rnn")


@pytest.mark.parametrize("log", _module("family").LOGS)
@pytest.mark.parametrize("model", _module("family").MODELS)
def test_every_member_of_the_family_is_valid_on_every_log(log, model):
  config = _module("family").get_config(f"{log}/{model}")
  validation.validate(config)
  assert bool(config.decode.budget) == config.model.conditioned


@pytest.mark.parametrize(
  "name",
  [
    name if name == "hstu_oc" else pytest.param(name, marks=pytest.mark.slow)
    for name in _module("family").MODELS
  ],
)
def test_every_member_of_the_family_learns(world, name):
  config = _module("family").get_config(name)
  config.decode.budget = ""
  # This log has too few different gaps for fitted edges.
  config.model.offset_edges = config.model.offset_edges or (43_201, 100_000)
  config.data.sequence_length, config.train.warmup_steps = 12, 1
  config.model.hidden_dim = config.model.embedding_dim = 16
  config.model.table_size = 64
  config.loss.in_batch_negatives, config.loss.uniform_negatives = 32, 16
  rows, corpus = training_data.packed(config, world)
  corpus = jax.tree.map(jax.numpy.asarray, corpus)
  batch = next(pipeline.batches(rows, batch=16, seed=0))
  model = pinrec.of_config(config, world.vocabulary)
  transform = optimizer.build(config.train)
  state = state_lib.create(model, transform)
  losses = []
  for rate in optimizer.learning_rates(config.train)[:16]:
    state, metrics = step_lib.train_step(
      state,
      batch,
      corpus,
      rate,
      model=model,
      transform=transform,
      config=config.loss,
      seed=0,
    )
    losses.append(float(metrics["loss"]))
  assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:2])


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("bert", r"model 'bert' is unknown; .*sasrec"),
    ("moon/oc", r"log 'moon' is unknown; .*ml_1m"),
  ],
)
def test_an_unknown_member_is_named(name, message):
  with pytest.raises(ValueError, match=message):
    _module("family").get_config(name)
