"""A simulated A/B test of budgets in the synthetic world.

  python benchmarks/simulated.py --workdir=runs/synthetic-seeds --seeds=3 \
    --output=results/simulated.json [--config.FIELD=VALUE ...]

It trains PinRec-OC (configs/synthetic.py) and a two-tower model for as long,
unless WORKDIR has them; benchmarks/optimum.py shares its models. Each arm shows
every test user a list of ten.

A user is interested in an item with the probability of its topic to come next
in the world, relative to the likeliest topic. An interesting item is clicked
and saved with its own probabilities. No model has seen these probabilities.

All arms and seeds have the same users and the same random draws, so lifts are
paired by user. Their 95 % intervals come from a bootstrap over users, whose
actions are averaged over seeds. The expected actions of users stand beside the
drawn ones. All further flags go to pinrec_jax.main.
"""

import argparse
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import record
import repeats
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, markdown, opening, workflows
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, synthetic
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.evals import popularity, retrieve

CONFIG, K = "configs/synthetic.py", 10
TWO_TOWER = {
  "model.backbone": "pooled",
  "model.num_layers": 1,
  "model.conditioned": False,
  "decode.budget": "",
}
SHARES = (0, 25, 50, 75, 100)  # Of saves, in percent of the budget.
BASELINES = (f"{SHARES[0]} % save", "two-tower")
RESAMPLES = 2000
Actions = Float[np.ndarray, "o b"]  # Actions of each user, by outcome.


def main() -> None:
  """Trains missing models, runs the test, prints and writes it."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  plain = [f"--config.{path}={value}" for path, value in TWO_TOWER.items()]
  conditioned, towers = (
    repeats.of_seeds(CONFIG, workdir, options.seeds, flags, mode="train")
    for workdir, flags in (
      (options.workdir, rest),
      (options.workdir / "two_tower", [*rest, *plain]),
    )
  )
  config = config_files.read_config(CONFIG)
  config, dataset = opening.load(config)
  cases = evaluation_cases.cases(dataset, "test")
  seeds = [
    {
      name: actions(dataset, cases, shown)
      for name, shown in lists(dataset, cases, *folders).items()
    }
    for folders in zip(conditioned, towers, strict=True)
  ]
  found = compared(seeds)
  record.write(options.output, rest, users=len(cases), list=K, arms=found)
  plot(found, options.output.with_suffix(".png"))
  print(table(found))


def compared(
  seeds: Sequence[Mapping[str, tuple[Actions, Actions]]],
) -> dict[str, dict[str, dict[str, Any]]]:
  """Returns each arm's actions per user and its lifts, by outcome.

  Args:
    seeds: drawn and expected actions of the users, by arm.
  """
  found = {}
  for name in seeds[0]:
    found[name] = {}
    for n, outcome in enumerate(synthetic.OUTCOMES):
      drawn, expected = (
        np.stack([arms[name][kind][n] for arms in seeds]) for kind in (0, 1)
      )
      own: dict[str, Any] = {
        "per_user": repeats.over_seeds(drawn.mean(-1).tolist()),
        "expected_per_user": repeats.over_seeds(expected.mean(-1).tolist()),
      }
      for other in BASELINES:
        baseline = np.stack([arms[other][0][n] for arms in seeds])
        own[f"lift over {other}"] = lift(drawn.mean(0), baseline.mean(0))
      found[name][outcome] = own
  return found


def lists(
  dataset: dataset_lib.Dataset,
  cases: list[evaluation_cases.Case],
  conditioned: pathlib.Path,
  towers: pathlib.Path,
) -> dict[str, Int[np.ndarray, "b k"]]:
  """Returns the lists that each arm shows.

  Args:
    dataset: the log.
    cases: the users.
    conditioned: work folder of PinRec-OC.
    towers: work folder of the two-tower model.
  """
  config = config_files.read_config(CONFIG)
  budgets: dict[str, Mapping[str, float]] = {
    "no outcome": {budget_lib.UNSPECIFIED: 1.0}
  }
  for share in SHARES:
    budgets[f"{share} % save"] = {
      "click": 1 - share / 100,
      "save": share / 100,
    }
  arms = {
    "popularity": popularity.of_all(
      dataset,
      cases,
      split="test",
      size=K,
      filter_seen=config.index.filter_seen,
    )
  }
  plain = config_lib.replace(config, **TWO_TOWER)
  for folder, own, asked in (
    (conditioned, config, budgets),
    (towers, plain, {"two-tower": None}),
  ):
    retriever = workflows.retriever(own, folder, dataset)
    for name, budget in asked.items():
      arms[name] = retrieve.retrieve(
        retriever,
        cases,
        retriever.reader.defaults(budget=budget).ask,
        size=K,
        batch_size=own.evals.batch_size,
        quiet=True,
      ).items
  return arms


def actions(
  dataset: dataset_lib.Dataset,
  cases: list[evaluation_cases.Case],
  shown: Int[np.ndarray, "b k"],
) -> tuple[Actions, Actions]:
  """Returns the drawn and the expected number of each user's actions."""
  world = synthetic.world()
  ids = dataset.items.ids
  last = np.array([case.past.item[case.past.engaged][-1] for case in cases])
  next_topic = world.moves[world.topic[ids[last]]]
  interest = next_topic / next_topic.max(-1, keepdims=True)
  item = ids[shown]
  of_item = np.take_along_axis(interest, world.topic[item], axis=-1)
  chance = of_item * world.outcome[:, item]
  # A place of a user's list has the same draw, whatever the arm shows there.
  draw = np.random.default_rng(0).random((len(chance), *shown.shape))
  return (draw < chance).sum(-1).astype(float), chance.sum(-1)


def lift(
  arm: Float[np.ndarray, "b"], baseline: Float[np.ndarray, "b"]
) -> dict[str, float]:
  """Returns the relative gain in the mean with its 95 % interval."""
  rng = np.random.default_rng(0)
  users = rng.integers(len(arm), size=(RESAMPLES, len(arm)))
  gains = arm[users].mean(-1) / baseline[users].mean(-1) - 1
  low, high = np.quantile(gains, [0.025, 0.975])
  mean = arm.mean() / baseline.mean() - 1
  return {"mean": float(mean), "low": float(low), "high": float(high)}


def table(found: dict) -> str:
  """Returns one line per arm as a Markdown table."""
  heads = [
    f"{outcome}s{what}"
    for outcome in synthetic.OUTCOMES
    for what in (" per user", *(f", lift over {name}" for name in BASELINES))
  ]
  rows = []
  for name, outcomes in found.items():
    cells = [name]
    for own in outcomes.values():
      per_user = own["per_user"]
      cells.append(f"{per_user['mean']:.2f} ± {per_user['std']:.2f}")
      for other in BASELINES:
        gain = {k: 100 * v for k, v in own[f"lift over {other}"].items()}
        cells.append(
          f"{gain['mean']:+.1f} % ({gain['low']:+.1f} to {gain['high']:+.1f})"
        )
    rows.append(cells)
  return markdown.table(["arm", *heads], rows)


def plot(found: dict, path: pathlib.Path) -> None:
  """Plots saves against clicks per user, one point per arm."""
  figure = Figure(figsize=(7.5, 5), layout="constrained")
  axes = figure.subplots()
  one, other = synthetic.OUTCOMES
  budgets = [f"{share} % save" for share in SHARES]
  point, std = (
    {
      name: (own[one]["per_user"][key], own[other]["per_user"][key])
      for name, own in found.items()
    }
    for key in ("mean", "std")
  )
  axes.errorbar(
    *np.array([point[name] for name in budgets]).T,
    *np.array([std[name] for name in budgets]).T[::-1],
    marker="o",
    capsize=3,
    label="PinRec-OC, by budget",
  )
  for name in budgets:
    axes.annotate(name, point[name], xytext=(6, 4), textcoords="offset points")
  for name, marker in (
    ("no outcome", "s"),
    ("two-tower", "^"),
    ("popularity", "x"),
  ):
    axes.plot(*point[name], marker, label=name)
  axes.margins(x=0.15, y=0.12)
  axes.grid(alpha=0.25)
  axes.set_xlabel(f"{one}s per user, of {K} items shown")
  axes.set_ylabel(f"{other}s per user, of {K} items shown")
  axes.set_title(
    "Moving the budget from clicks to saves moves what users do\n"
    "(simulated users; bars: standard deviation over seeds)",
    fontsize="medium",
  )
  axes.spines[["top", "right"]].set_visible(False)
  axes.legend()
  figure.savefig(path, dpi=120)


if __name__ == "__main__":
  main()
