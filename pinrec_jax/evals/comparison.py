"""A run on the test users, compared with its twin and with baselines."""

from collections.abc import Sequence

from pinrec_jax import config as config_lib
from pinrec_jax import reports
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, statistics
from pinrec_jax.evals import (
  baselines,
  budget_sweep,
  evaluate,
  examples,
  metrics,
  verdict,
)
from pinrec_jax.inference import engine

SWEEP_USERS = 5000  # Users of a budget sweep.


def compare(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  found: engine.Retriever,
  twin: engine.Retriever | None,
  progress: reports.Progress,
  short_list: tuple[str, int] | None = None,
) -> reports.EvaluateReport:
  """Returns the figures of a run and of all that it is compared with.

  Args:
    config: of the run.
    dataset: the log.
    cases: the test users.
    found: the retriever of the run.
    twin: the retriever of its unconditioned twin, if there is one.
    progress: how far the run was trained.
    short_list: the user with the shortest list, for the report.
  """
  settings, groups = config.evals, statistics.item_groups(dataset, "test")
  name = "PinRec-OC" if config.model.conditioned else "PinRec-UC"
  measured = evaluate.evaluate(found, cases, settings, groups=groups)
  models = {name: measured.figures}
  models |= _others(config, cases, found, twin, groups, measured)
  models |= baselines.figures(config, dataset, cases, groups)
  swept = budget_sweep.Sweep([], {})
  if config.model.conditioned and len(settings.sweep) > 1:
    some = evaluation_cases.cases(dataset, "test", limit=SWEEP_USERS)
    swept = budget_sweep.sweep(found, some, settings)
  targets = metrics.targets(cases)
  outcomes = dataset.vocabulary.outcome_names
  found_all, sentence = verdict.verdict(
    models,
    min(settings.cutoffs),
    [*verdict.reasons(config, dataset, cases, progress)],
  )
  return reports.EvaluateReport(
    models=models,
    user_ids=[case.user for case in cases],
    user_sums=measured.sums,
    sweep=swept.rows,
    steering=swept.steering,
    users=len(cases),
    targets=len(targets.item),
    outcome_targets=dict(
      zip(outcomes, targets.actions.sum(0).tolist(), strict=False)
    ),
    group_targets={
      n: int(some[targets.item].sum()) for n, some in groups.items()
    },
    short_list=short_list,
    examples=examples.of_users(found, cases, settings.sweep),
    filter_seen=config.index.filter_seen,
    beats_baselines=found_all,
    verdict=sentence,
  )


def _others(
  config: config_lib.Config,
  cases: Sequence[evaluation_cases.Case],
  found: engine.Retriever,
  twin: engine.Retriever | None,
  groups: evaluate.Groups,
  measured: evaluate.Measured,
) -> dict[str, evaluate.Figures]:
  """Returns the figures of the run's twin and of its oracle time."""
  settings = config.evals
  models: dict[str, evaluate.Figures] = {}
  if twin:
    vectors = int(measured.figures["vectors"])
    own = evaluate.evaluate(twin, cases, settings, groups=groups).figures
    # Unordered recall is compared at an equal number of vectors.
    own |= evaluate.unordered(
      twin, cases, vectors=vectors, batch_size=settings.batch_size
    )
    models["PinRec-UC"] = own
  if settings.oracle_time:
    models["oracle time"] = evaluate.oracle_time(
      found, cases, settings, groups=groups
    )
  return models
