"""From a trained model to a bundle with all items indexed."""

import dataclasses

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import statistics
from pinrec_jax.inference import bundle, engine, users
from pinrec_jax.training import runs


def indexed(
  config: config_lib.Config,
  trained: runs.Trained,
  items: catalog_lib.Catalog,
  known: dataset_lib.Dataset,
  split: str,
) -> engine.Retriever:
  """Returns a trained model with all items of a catalog indexed.

  Args:
    config: of the run.
    trained: parameters and step.
    items: the catalog.
    known: the log, with its periods as they were in the training.
    split: the period before which the model was trained.
  """
  cold = config.model.id_dropout > 0
  hidden = statistics.cold_items(known, split) if cold else None
  return engine.Retriever(
    bundle.create(
      config_lib.inference(config),
      trained.params,
      items,
      statistics.outcome_fractions(known),
      hidden=hidden,
      step=trained.step,
    )
  )


def with_users(
  found: bundle.Bundle, dataset: dataset_lib.Dataset
) -> bundle.Bundle:
  """Returns a bundle with a log's popular items and its users' events."""
  return dataclasses.replace(
    found,
    popular=statistics.most_popular(dataset),
    users=users.of_log(dataset.users, dataset.events),
  )
