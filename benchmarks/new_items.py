"""Recall of items that came after the training, by their content.

  python benchmarks/new_items.py --workdir=runs/new_items \
    --output=results/new_items.json

The log is a synthetic shop. A user likes one kind of item, and eight of ten
clicks are on it. A model is trained on three days with 400 items. Then a newer
item table has 100 items more, and the users of a fourth day click on all of
them. The model is not trained again: its catalog grows.

A list of ten from 500 items holds a target by chance with a recall of 0.02.
Whoever knows the kind of a user has 0.32 (0.8 x 10 / 25). Three models are
compared: without id dropout; with it, new items embedded from content alone, as
the package does; and the same model with the untrained id embeddings kept.
"""

import argparse
import pathlib
import shutil
import sys

import numpy as np
import pandas as pd
import record

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, markdown, opening, workflows
from pinrec_jax.data import days, evaluation_cases, statistics
from pinrec_jax.evals import evaluate
from pinrec_jax.inference import bundle, engine
from pinrec_jax.training import runs

CONFIG = "configs/custom_log.py"
KINDS, OLD, NEW, USERS, CLICKS = 20, 400, 100, 600, 8
START, DAY = 1_700_006_400, 86_400
OWN = 0.8  # Probability of a click on the own kind.
DROPOUT = 0.3  # Of id embeddings.
KEYS = [f"recall@10{of}{end}" for of in ("", "/new_items")
        for end in ("", ":low", ":high")]  # fmt: skip


def write_items(folder: pathlib.Path, count: int) -> None:
  """Writes the item table."""
  item = np.arange(count)
  kinds = [f"kind {n}" for n in item % KINDS]
  pd.DataFrame({"item": item, "kind": kinds}).to_csv(
    folder / "items.csv", index=False
  )


def write_day(folder: pathlib.Path, number: int, items: int) -> None:
  """Writes the clicks of a day, on the first `items` items."""
  random = np.random.default_rng(number)
  user = np.repeat(np.arange(USERS), CLICKS)
  own = random.random(len(user)) < OWN
  kind = np.where(own, user % KINDS, random.integers(KINDS, size=len(user)))
  item = random.integers(items // KINDS, size=len(user)) * KINDS + kind
  time = START + number * DAY + random.integers(DAY, size=len(user))
  pd.DataFrame(
    {"user": user, "item": item, "action": "click", "time": time}
  ).to_csv(folder / "events" / f"day{number}.csv", index=False)


def configured(folder: pathlib.Path, dropout: float) -> config_lib.Config:
  """Returns the configuration of a run."""
  return config_lib.replace(
    config_files.read_config(CONFIG),
    **{
      "data.events": str(folder / "events"),
      "data.items": str(folder / "items.csv"),
      "data.prepared_dir": str(folder / "prepared"),
      "data.sequence_length": 32,
      "model.hidden_dim": 32,
      "model.embedding_dim": 32,
      "model.table_size": 512,
      "model.id_dropout": dropout,
      "train.batch_size": 32,
      "train.steps": 3000,
      "train.eval_every": 1000,
      "train.patience": 0,
      "evals.cutoffs": (10,),
    },
  )


def measure(
  config: config_lib.Config, workdir: pathlib.Path, *, content: bool
) -> dict[str, float]:
  """Returns recall on the fourth day.

  Args:
    config: of the run.
    workdir: of the run.
    content: whether items without a click in training are embedded from content
      alone.
  """
  config, dataset = opening.load(config, workdir)
  later = days.at(dataset, START + 3 * DAY)
  cold = statistics.cold_items(later, "test")
  found = bundle.create(
    config_lib.inference(config),
    runs.best(config, dataset.catalog, workdir).params,
    dataset.catalog,
    statistics.outcome_fractions(later),
    hidden=cold if content else None,
  )
  figures = evaluate.evaluate(
    engine.Retriever(found),
    evaluation_cases.cases(later, "test"),
    config.evals,
    groups={"new": cold},
    quiet=True,
  ).figures
  return {key: float(figures[key]) for key in KEYS}


def main() -> None:
  """Writes the log, trains twice, prints and writes the figures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  folder = options.workdir.absolute()
  figures: dict[str, dict[str, float]] = {}
  for dropout, kinds in (
    (0.0, {"without id dropout": False}),
    (DROPOUT, {"with it, content alone": True, "with it, ids kept": False}),
  ):
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "events").mkdir(parents=True)
    write_items(folder, OLD)
    for number in range(3):
      write_day(folder, number, OLD)
    config = configured(folder, dropout)
    workflows.train(config, folder / "run")
    write_items(folder, OLD + NEW)
    write_day(folder, 3, OLD + NEW)
    config = configured(folder, dropout)
    for name, content in kinds.items():
      figures[name] = measure(config, folder / "run", content=content)
  record.write(options.output, sys.argv[1:], figures=figures)
  rows = [
    [name, *(f"{own[key]:.3f}" for key in KEYS)]
    for name, own in figures.items()
  ]
  print(markdown.table(["model", *KEYS], rows))


if __name__ == "__main__":
  main()
