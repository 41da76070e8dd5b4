"""The model learns a synthetic world whose best loss is known."""

import jax
import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import pipeline, synthetic
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

STEPS = 120


def test_the_loss_comes_close_to_the_best_possible_loss(tmp_path, monkeypatch):
  config = config_lib.Config()
  config.data.name, config.data.prepared_dir = "synthetic", str(tmp_path)
  config.data.sequence_length = 32
  config.data.synthetic_users = 300
  size = synthetic.Size(items=40, topics=4, events=36)
  monkeypatch.setattr(synthetic, "SIZE", size)
  config.model.conditioned, config.model.dropout = False, 0.0
  config.loss.in_batch_negatives, config.loss.uniform_negatives = 64, 64
  config.train.steps, config.train.warmup_steps = STEPS, 10
  dataset = dataset_lib.load(config.data)
  rows, corpus = training_data.packed(config, dataset)
  batches = pipeline.batches(rows, batch=32, seed=0)
  model = pinrec.of_config(config, dataset.vocabulary)
  transform = optimizer.build(config.train)
  state = state_lib.create(model, transform)
  corpus, losses = jax.tree.map(jax.numpy.asarray, corpus), []
  for rate in optimizer.learning_rates(config.train):
    state, metrics = step_lib.train_step(
      state, next(batches), corpus, rate, model=model, transform=transform,
      config=config.loss, seed=0,
    )  # fmt: skip
    losses.append(float(metrics["loss"]))
  world = synthetic.world(size)
  chances = np.stack([world.chances(t) for t in range(size.topics)])
  best = -np.mean(np.sum(chances * np.log(chances), -1))
  whole = chances.mean(0)  # Without a history.
  blind = -np.sum(whole * np.log(whole))
  assert np.mean(losses[-20:]) < best + 0.3 * (blind - best)
