"""The arms of benchmarks/staleness.py: their lists, and what these find."""

import dataclasses
import datetime
import pathlib
from collections.abc import Sequence

import kuairand_days
import numpy as np
from jaxtyping import Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax import indexing, opening
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, schema, splits
from pinrec_jax.evals import metrics, popularity, retrieve
from pinrec_jax.inference import engine
from pinrec_jax.training import runs

CUTOFFS = (10, 100)
# Half-life of an engagement in seconds; 0 counts the day before alone.
POPULAR = {
  "popularity of yesterday": 0,
  "popularity, half-life of a day": splits.DAY,
}

Cases = Sequence[evaluation_cases.Case]
Lists = Int[np.ndarray, "b c"]
Hits = Int[np.ndarray, "... b"]  # Targets found of each user, by cutoff.
Targets = Int[np.ndarray, "b"]  # Number of targets of each user.


def on_day(
  dataset: dataset_lib.Dataset, day: datetime.date
) -> dataset_lib.Dataset:
  """Returns a log whose validation period is one day."""
  first = kuairand_days.start(day)
  vocabulary = dataclasses.replace(
    dataset.vocabulary, validation_from=first, test_from=first + splits.DAY
  )
  known = dataclasses.replace(dataset.catalog, vocabulary=vocabulary)
  return dataclasses.replace(dataset, catalog=known)


def cases_of(
  dataset: dataset_lib.Dataset, day: datetime.date
) -> list[evaluation_cases.Case]:
  """Returns the users with five earlier events and a target on a day.

  Their histories end before the day.
  """
  return evaluation_cases.cases(on_day(dataset, day), "validation")


def frozen(cases: Cases, moment: int) -> list[evaluation_cases.Case]:
  """Returns the cases with histories that end before a unix second."""
  return [
    dataclasses.replace(case, past=before(case.past, moment)) for case in cases
  ]


def real_time(
  dataset: dataset_lib.Dataset, cases: Cases
) -> list[evaluation_cases.Case]:
  """Returns one case a target, with all events before the target.

  The targets come in the order of the cases.
  """
  events = dict(zip(dataset.users, dataset.events, strict=True))
  return [
    evaluation_cases.Case(
      case.user,
      before(events[case.user], int(case.targets.time[n])),
      case.targets.where(slice(n, n + 1)),
    )
    for case in cases
    for n in range(len(case.targets))
  ]


def before(events: schema.Events, moment: int) -> schema.Events:
  """Returns the events before a unix second."""
  return events.where(slice(int(np.searchsorted(events.time, moment))))


def model_lists(
  config: config_lib.Config,
  workdir: pathlib.Path,
  dataset: dataset_lib.Dataset,
) -> tuple[dataset_lib.Dataset, engine.Retriever]:
  """Returns the log in the names of a run, and the retriever of its model."""
  dataset = opening.in_names(config, dataset, runs.names(config, workdir))
  trained = runs.best(config, dataset.catalog, workdir)
  return dataset, indexing.indexed(
    config, trained, dataset.catalog, dataset, "test"
  )


def retrieved(
  retriever: engine.Retriever, cases: Cases, hidden: Cases | None = None
) -> Lists:
  """Returns the lists of a model.

  Args:
    retriever: the model.
    cases: the users, with the histories that the model reads.
    hidden: the same users with the histories whose items are left out. By
      default these are the histories that the model reads.
  """
  size = max(CUTOFFS)
  seen = [seen_of(case) for case in hidden or cases]
  extra = max(map(len, seen), default=0) if hidden else 0
  lists = retrieve.retrieve(
    retriever,
    cases,
    retriever.reader.defaults().ask,
    size=size + extra,
    batch_size=256,
    quiet=True,
  ).items
  return without(lists, seen, size) if hidden else lists


def seen_of(case: evaluation_cases.Case) -> Int[np.ndarray, "_"]:
  """Returns the items that a user engaged with, which lists leave out."""
  return np.unique(case.past.seen("engagements"))


def without(
  lists: Lists, seen: Sequence[Int[np.ndarray, "_"]], size: int
) -> Lists:
  """Returns the first items of each list that are not among some items.

  Places after the last item are -1.
  """
  found = np.full((len(lists), size), -1, np.int32)
  for row, own in enumerate(lists):
    kept = own[(own >= 0) & ~np.isin(own, seen[row])][:size]
    found[row, : len(kept)] = kept
  return found


def popular(
  dataset: dataset_lib.Dataset,
  cases: Cases,
  day: datetime.date,
  half_life: float,
) -> Lists:
  """Returns the items with the most engagements before a day.

  Args:
    dataset: the log.
    cases: the users.
    day: the day.
    half_life: seconds after which an engagement counts half. 0 counts the
      engagements of the day before, and no others.
  """
  moment = kuairand_days.start(day)
  counts = np.zeros(len(dataset.items.ids))
  for events in dataset.events:
    past = before(events, moment)
    past = past.where(past.engaged)
    np.add.at(counts, past.item, weights(moment - past.time, half_life))
  counts[~dataset.items.candidate] = -1
  ranked = np.argsort(-counts, kind="stable").astype(np.int32)
  return popularity.without_seen(ranked, cases, max(CUTOFFS), "engagements")


def weights(
  age: Int[np.ndarray, "n"], half_life: float
) -> Float[np.ndarray, "n"]:
  """Returns the weights of engagements by their age in seconds."""
  if not half_life:
    return (age <= splits.DAY).astype(float)
  return 0.5 ** (age / half_life)


def hits(lists: Lists, cases: Cases) -> Hits:
  """Returns how many targets of each user are in the user's list."""
  targets = metrics.targets(cases)
  return np.stack(
    [
      np.bincount(
        targets.user[metrics.found(lists, targets, k)], minlength=len(cases)
      )
      for k in CUTOFFS
    ]
  )


def by_user(found: Hits, cases: Cases) -> Hits:
  """Returns the hits of users from those of their targets, one case each."""
  user = np.repeat(np.arange(len(cases)), [len(c.targets) for c in cases])
  return np.stack(
    [np.bincount(user, own, len(cases)).astype(int) for own in found]
  )
