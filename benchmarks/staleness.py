"""Recall of models that are trained every day, updated every day, or never.

  python benchmarks/staleness.py --source=FOLDER --workdir=runs/staleness \
    --seeds=3 --output=results/staleness.json --plot=docs/staleness.png

FOLDER has KuaiRand-Pure's files. They become a custom log with one file a day.
On the morning of each test day, these arms know all events before the day:

  trained    a model that is trained from scratch on all of them
  updated    yesterday's model after --mode=update
  stale      the model of the first morning, with histories up to this morning
  frozen     the model of the first morning, with histories of the first morning
  real time  the updated model, with the history before each target

and three baselines. Targets are the engagements of the day, of users with five
earlier events. All arms have the same users, targets, candidates and filter.

Intervals are 95 % by bootstrap over users and seeds, and all arms share the
resamples. The work folder keeps what is finished, so a killed run continues.
"""

import argparse
import datetime
import io
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import kuairand_days
import numpy as np
import record
import staleness_arms as arms
import staleness_figures as figures
import staleness_walk

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, files
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.evals import baselines
from pinrec_jax.training import runs

Date = datetime.date
FIRST, LAST = Date(2022, 5, 4), Date(2022, 5, 7)
TRAINED = [
  (name, "trained") for name in ("updated", "real time", "stale", "frozen")
]
RECORDED = ("first", "last", "seeds", "steps")  # Of the flags.
PAIRS = [
  *TRAINED, ("stale", "updated"), ("frozen", "stale"), ("real time", "updated"),
]  # fmt: skip
ARMS = (
  "trained", "updated", "stale", "frozen", "real time", *arms.POPULAR,
  "last items",
)  # fmt: skip


class OfDay(NamedTuple):
  """What all arms find on a day.

  Attributes:
    users: ids of the users.
    targets: number of targets of each user.
    hits: targets found, [seed cutoff user], by arm.
  """

  users: list[str]
  targets: arms.Targets
  hits: dict[str, arms.Hits]


class Measurer:
  """Measures arms on the users of each day, and keeps what was found."""

  def __init__(self, workdir: pathlib.Path, days: Sequence[Date]) -> None:
    self.days, self.folder = days, workdir / "baselines"
    config = kuairand_days.configured(
      workdir / "log", workdir / "prepared",
      kuairand_days.LAST + kuairand_days.ONE_DAY, days[0], 0,
    )  # fmt: skip
    self.dataset = dataset_lib.load(config.data)

  def users(self, day: Date) -> tuple[list[str], arms.Targets]:
    """Returns the users of a day, and the number of their targets."""
    cases = arms.cases_of(self.dataset, day)
    return [c.user for c in cases], np.array([len(c.targets) for c in cases])

  def baselines(self, day: Date) -> dict[str, arms.Hits]:
    """Returns the hits of the baselines."""

    def _measured() -> dict[str, arms.Hits]:
      cases = arms.cases_of(self.dataset, day)
      lists = {
        name: arms.popular(self.dataset, cases, day, half_life)
        for name, half_life in arms.POPULAR.items()
      }
      lists["last items"] = baselines.last_items(
        self.dataset, cases, size=max(arms.CUTOFFS)
      )
      return {name: arms.hits(own, cases) for name, own in lists.items()}

    return kept(self.folder / f"{day}.npz", _measured)

  def model(
    self,
    walk: staleness_walk.Walk,
    day: Date,
    workdir: pathlib.Path,
    names: Sequence[str],
  ) -> dict[str, arms.Hits]:
    """Returns the hits of a model, by the name of each way to use it.

    Args:
      walk: of the seed.
      day: the test day.
      workdir: of the model.
      names: `trained`, `updated` or `stale` with live histories, `frozen` with
        those of the first morning, `real time` with those before each target.
    """

    def _measured() -> dict[str, arms.Hits]:
      path = workdir / runs.CONFIG
      config = config_files.from_json(
        config_lib.Config, path.read_text("utf-8"), str(path)
      )
      dataset, found = arms.model_lists(config, workdir, self.dataset)
      cases = arms.cases_of(dataset, day)
      hits = {}
      for name in names:
        if name == "real time":
          every = arms.real_time(dataset, cases)
          own = arms.hits(arms.retrieved(found, every), every)
          hits[name] = arms.by_user(own, cases)
        elif name == "frozen":
          old = arms.frozen(cases, kuairand_days.start(self.days[0]))
          hits[name] = arms.hits(arms.retrieved(found, old, cases), cases)
        else:
          hits[name] = arms.hits(arms.retrieved(found, cases), cases)
      return hits

    path = walk.folder / "hits" / f"{day}-{names[0]}.npz"
    return kept(path, _measured)


def kept(
  path: pathlib.Path, measured: Callable[[], dict[str, arms.Hits]]
) -> dict[str, arms.Hits]:
  """Returns the arrays of a file, which is written first if it is absent."""
  if not path.is_file():
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **measured())
    files.write(path, buffer.getvalue())
  with np.load(path) as found:
    return {name: found[name] for name in found.files}


def of_day(
  walk: staleness_walk.Walk, measurer: Measurer, day: Date
) -> dict[str, arms.Hits]:
  """Returns the hits of all arms of one seed on one day."""
  first = walk.scratch(walk.days[0])
  hits = measurer.baselines(day)
  if day == walk.days[0]:
    own = measurer.model(walk, day, first, ("trained", "real time"))
    same = dict.fromkeys(("updated", "stale", "frozen"), own["trained"])
    return hits | own | same
  hits |= measurer.model(walk, day, first, ("stale", "frozen"))
  hits |= measurer.model(walk, day, walk.updated(day), ("updated", "real time"))
  return hits | measurer.model(walk, day, walk.scratch(day), ("trained",))


def stacked(seeds: Sequence[dict[str, arms.Hits]]) -> dict[str, arms.Hits]:
  """Returns the hits of all seeds, [seed cutoff user], by arm."""
  return {name: np.stack([own[name] for own in seeds]) for name in ARMS}


def pooled(
  by_day: Sequence[OfDay],
) -> tuple[dict[str, arms.Hits], arms.Targets]:
  """Returns the hits and the targets of each user over several days."""
  everyone = sorted({user for day in by_day for user in day.users})
  row = {user: n for n, user in enumerate(everyone)}
  targets = np.zeros(len(everyone), int)
  first = by_day[0].hits
  hits = {
    name: np.zeros((*own.shape[:-1], len(everyone)), int)
    for name, own in first.items()
  }
  for day in by_day:
    place = [row[user] for user in day.users]
    targets[place] += day.targets
    for name, own in day.hits.items():
      hits[name][..., place] += own
  return hits, targets


def of_lists(
  hits: Mapping[str, arms.Hits], targets: arms.Targets
) -> dict[str, Any]:
  """Returns the figures of all arms, by length of list."""
  return {
    str(k): figures.of_arms(
      {name: own[:, n] for name, own in hits.items()}, targets, PAIRS
    )
    for n, k in enumerate(arms.CUTOFFS)
  }


def main() -> None:
  """Walks through the days, measures, writes, plots and prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--source", type=pathlib.Path, required=True)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--first", type=Date.fromisoformat, default=FIRST)
  parser.add_argument("--last", type=Date.fromisoformat, default=LAST)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--steps", type=int, default=kuairand_days.STEPS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  parser.add_argument("--plot", type=pathlib.Path)
  options = parser.parse_args()
  workdir = options.workdir.absolute()
  kuairand_days.write(options.source, workdir / "log")
  days = kuairand_days.days(options.first, options.last)
  measurer = Measurer(workdir, days)
  walks = [
    staleness_walk.Walk(workdir, seed, days, options.steps)
    for seed in range(options.seeds)
  ]
  # Seed by seed, so that the first seed can be looked at early.
  seeds = [[of_day(walk, measurer, day) for day in days] for walk in walks]
  by_day = [
    OfDay(*measurer.users(day), stacked([own[n] for own in seeds]))
    for n, day in enumerate(days)
  ]
  found = {
    str(day): of_lists(own.hits, own.targets)
    for day, own in zip(days, by_day, strict=True)
  }
  # On the first morning, all models are the same one.
  whole = of_lists(*pooled(by_day[1:]))
  record.write(
    options.output,
    [f"--{n}={getattr(options, n)}" for n in RECORDED],
    users={str(d): len(own.users) for d, own in zip(days, by_day, strict=True)},
    targets={
      str(d): int(own.targets.sum())
      for d, own in zip(days, by_day, strict=True)
    },
    days=found,
    later_days=whole,
    costs=staleness_walk.costs(walks),
    updates=[walk.lines() for walk in walks],
  )
  if options.plot:
    figures.plot(found, TRAINED, options.plot)
  print(figures.table(whole), figures.gains(whole), sep="\n\n")


if __name__ == "__main__":
  main()
