"""The gate of a daily update: the new model beside the old and baselines."""

import dataclasses

from pinrec_jax import config as config_lib
from pinrec_jax import reports
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import baselines, evaluate, popularity
from pinrec_jax.inference import engine

PUBLISHED = ("passed", "unchanged")  # Reasons for which a bundle is published.


def measure(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  new: engine.Retriever,
  yesterday: engine.Retriever | None,
) -> tuple[reports.Figures, str]:
  """Returns recall on the newest hours, and whether the new model passed.

  Args:
    config: of the run.
    dataset: the log, whose test period is the newest hours.
    new: the new model, which was not trained on these hours.
    yesterday: yesterday's model with the same items; None if `new` is
      yesterday's model, because there was nothing to train on.

  Returns:
    The figures; and "passed", "worse", "unmeasured" (no user has a target in
    the newest hours) or "unchanged" (there is no new model).
  """
  cases = evaluation_cases.cases(dataset, "test", required=False)
  figures: reports.Figures = {
    "users": len(cases),
    "gate_targets": sum(len(case.targets) for case in cases),
  }
  if not cases:
    return figures, "unmeasured" if yesterday else "unchanged"
  k = config.evals.cutoffs[0]
  evals = dataclasses.replace(config.evals, cutoffs=(k,))
  name, seen = f"recall@{k}", config.index.filter_seen
  own, other = (
    evaluate.evaluate(one, cases, evals, groups={}, quiet=True).figures[name]
    for one in (new, yesterday or new)
  )
  figures |= {"k": k, "recall": own, "yesterday": other}
  lists = {
    "popularity": popularity.of_all(
      dataset, cases, split="test", size=k, filter_seen=seen
    ),
    "last_items": baselines.last_items(dataset, cases, size=k),
  }
  outcomes = dataset.vocabulary.outcome_names
  for baseline, items in lists.items():
    scores = evaluate.of_lists(items, cases, outcomes, (k,), {}).figures
    figures[baseline] = scores[name]
  if yesterday is None:
    return figures, "unchanged"
  passed = own >= (1 - config.update.margin) * other
  return figures, "passed" if passed else "worse"
