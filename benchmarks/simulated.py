"""A simulated A/B test in the made-up world: budgets turned, users who act.

  python benchmarks/simulated.py --workdir=runs/synthetic-seeds --seeds=3 \
    --output=results/simulated.json [--config.FIELD=VALUE ...]

Trains PinRec-OC (configs/synthetic.py) and a two-tower for as long, unless
WORKDIR has them (benchmarks/optimum.py shares its models). Every test user is
shown a list of ten by each arm and goes through it: an item of topic t
interests them as much as t is likely to come next in the world, beside the
likeliest topic, and an item that interests is clicked and saved with the item's
own chances. Neither model has seen these chances. All arms and seeds meet the
same users and the same luck, so lifts are of paired users; their intervals are
of a bootstrap over users, whose actions are averaged over seeds. What users
would do on average, without luck, is written beside what they did. Everything
after the options goes to pinrec_jax.main.
"""

import argparse
import pathlib
import runpy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import record
import repeats
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.claims import suite
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, synthetic
from pinrec_jax.evals import retrieval
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import loop

CONFIG, K = "configs/synthetic.py", 10
TWO_TOWER = {
  "model.backbone": "pooled",
  "model.num_layers": 1,
  "model.conditioned": False,
  "decode.budget": "",
}
SHARES = (0, 25, 50, 75, 100)  # of saves, per cent of the budget
OVER = (f"{SHARES[0]} % save", "two-tower")  # what lifts are told over
RESAMPLES = 2000
Acted = Float[np.ndarray, "o b"]  # times a user, by outcome


def main() -> None:
  """Trains what is missing, plays the test, prints and writes it."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  plain = [f"--config.{path}={value}" for path, value in TWO_TOWER.items()]
  folders = [
    list(repeats.of_seeds(CONFIG, workdir, options.seeds, flags))
    for workdir, flags in (
      (options.workdir, ["--mode=train", *rest]),
      (options.workdir / "two_tower", ["--mode=train", *rest, *plain]),
    )
  ]
  config = runpy.run_path(CONFIG)["get_config"]()
  dataset = dataset_lib.load(config.data)
  cases = evaluation_cases.cases(dataset, "test")
  acted = [
    {
      name: actions(dataset, cases, config.data.synthetic, shown)
      for name, shown in lists(dataset, cases, conditioned, towers).items()
    }
    for conditioned, towers in zip(*folders, strict=True)
  ]
  found = compared(acted)
  record.write(options.output, rest, users=len(cases), list=K, arms=found)
  plot(found, options.output.with_suffix(".png"))
  print(table(found))


def compared(
  seeds: Sequence[Mapping[str, tuple[Acted, Acted]]],
) -> dict[str, dict[str, dict[str, Any]]]:
  """Returns each arm's actions a user and lifts, by outcome.

  Args:
    seeds: what users did and would do on average, an arm each.
  """
  found = {}
  for name in seeds[0]:
    found[name] = {}
    for n, outcome in enumerate(synthetic.OUTCOMES):
      drawn, expected = (
        np.stack([arms[name][kind][n] for arms in seeds]) for kind in (0, 1)
      )
      own: dict[str, Any] = {
        "per_user": repeats.spread(drawn.mean(-1).tolist()),
        "expected_per_user": repeats.spread(expected.mean(-1).tolist()),
      }
      for other in OVER:
        over = np.stack([arms[other][0][n] for arms in seeds])
        own[f"lift over {other}"] = lift(drawn.mean(0), over.mean(0))
      found[name][outcome] = own
  return found


def lists(
  dataset: dataset_lib.Dataset,
  cases: list[evaluation_cases.Case],
  conditioned: pathlib.Path,
  towers: pathlib.Path,
) -> dict[str, Int[np.ndarray, "b k"]]:
  """Returns what each arm shows each user, by the runs of one seed."""
  config = runpy.run_path(CONFIG)["get_config"]()
  arms = {
    "popularity": retrieval.popularity(
      dataset, cases, split="test", size=K, drop_seen="nothing"
    )
  }

  def shown(
    folder: pathlib.Path,
    config: config_lib.Config,
    budgets: dict[str, dict[str, float]],
  ) -> dict[str, Int[np.ndarray, "b k"]]:
    trained = loop.best(config, dataset.catalog, folder)
    retriever = retriever_lib.of_dataset(
      config, trained.model, trained.params, dataset
    )
    return {
      name: retrieval.retrieve(
        retriever, cases, size=K, budget=budget, quiet=True
      ).items
      for name, budget in budgets.items()
    }

  budgets: dict[str, dict[str, float]] = {"no outcome": {}}
  for share in SHARES:
    budget = {"click": 1 - share / 100, "save": share / 100}
    budgets[f"{share} % save"] = {n: part for n, part in budget.items() if part}
  arms |= shown(conditioned, config, budgets)
  plain = suite.configured(config, TWO_TOWER, "two-tower")
  return arms | shown(towers, plain, {"two-tower": {}})


def actions(
  dataset: dataset_lib.Dataset,
  cases: list[evaluation_cases.Case],
  made: config_lib.Synthetic,
  shown: Int[np.ndarray, "b k"],
) -> tuple[Acted, Acted]:
  """Returns how often each user acts in each way, by luck and on average."""
  world = synthetic.world(made)
  ids = dataset.items.ids
  last = np.array([case.past.item[case.past.engaged][-1] for case in cases])
  next_topic = world.moves[world.topic[ids[last]]]
  interest = next_topic / next_topic.max(-1, keepdims=True)
  item = ids[shown]
  of_item = np.take_along_axis(interest, world.topic[item], axis=-1)
  chance = of_item * world.outcome[:, item]
  # The same luck for the same place of the same user, whatever is shown.
  luck = np.random.default_rng(0).random((len(chance), *shown.shape))
  return (luck < chance).sum(-1).astype(float), chance.sum(-1)


def lift(
  arm: Float[np.ndarray, "b"], over: Float[np.ndarray, "b"]
) -> dict[str, float]:
  """Returns the gain in the mean and its 95 % interval."""
  rng = np.random.default_rng(0)
  users = rng.integers(len(arm), size=(RESAMPLES, len(arm)))
  gains = arm[users].mean(-1) / over[users].mean(-1) - 1
  low, high = np.quantile(gains, [0.025, 0.975])
  mean = arm.mean() / over.mean() - 1
  return {"mean": float(mean), "low": float(low), "high": float(high)}


def table(found: dict) -> str:
  """Returns a row an arm as a Markdown table."""
  heads = [
    f"{outcome}s{what}"
    for outcome in synthetic.OUTCOMES
    for what in (" a user", ", lift over all click", ", over the two-tower")
  ]
  rows = []
  for name, outcomes in found.items():
    cells = [name]
    for own in outcomes.values():
      per_user = own["per_user"]
      cells.append(f"{per_user['mean']:.2f} ± {per_user['spread']:.2f}")
      for other in OVER:
        gain = {k: 100 * v for k, v in own[f"lift over {other}"].items()}
        cells.append(
          f"{gain['mean']:+.1f} % ({gain['low']:+.1f} to {gain['high']:+.1f})"
        )
    rows.append(cells)
  return markdown.table(["", *heads], rows)


def plot(found: dict, path: pathlib.Path) -> None:
  """Plots clicks against saves, an arm a point, budgets joined."""
  figure = Figure(figsize=(7, 5))
  axes = figure.subplots()
  one, other = synthetic.OUTCOMES
  budgets = [f"{share} % save" for share in SHARES]
  point = {
    name: (own[one]["per_user"]["mean"], own[other]["per_user"]["mean"])
    for name, own in found.items()
  }
  axes.plot(
    *zip(*(point[name] for name in budgets), strict=True),
    marker="o",
    label="PinRec-OC, its budget turned",
  )
  for name in budgets:
    axes.annotate(name, point[name], xytext=(6, 4), textcoords="offset points")
  for name, marker in (
    ("no outcome", "s"), ("two-tower", "s"), ("popularity", "x")
  ):  # fmt: skip
    axes.plot(*point[name], marker, label=name)
  axes.margins(x=0.12)
  axes.set_xlabel(f"{one}s a user, of {K} shown")
  axes.set_ylabel(f"{other}s a user")
  axes.legend()
  figure.tight_layout()
  figure.savefig(path, dpi=120)


if __name__ == "__main__":
  main()
