"""A simulated A/B test in the made-up world: budgets turned, users who act.

  python benchmarks/simulated.py --workdir=runs/synthetic \
    --output=results/simulated.json [--config.FIELD=VALUE ...]

Trains PinRec-OC (configs/synthetic.py) and a two-tower for as long, unless
WORKDIR has them. Every test user is shown a list of ten by each arm and goes
through it: an item of topic t interests them as much as t is likely to come
next in the world, beside the likeliest topic, and an item that interests is
clicked and saved with the item's own chances. Neither model has seen these
chances. All arms meet the same users and the same luck, so lifts are of paired
users; their intervals are of a bootstrap over users. What users would do on
average, without luck, is written beside what they did. Everything after the
options goes to pinrec_jax.main.
"""

import argparse
import pathlib
import runpy
import subprocess
import sys
from typing import Any

import numpy as np
import record
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.claims import suite
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import splits, synthetic
from pinrec_jax.evals import retrieval
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import loop

CONFIG, K = "configs/synthetic.py", 10
TWO_TOWER = {
  "model.backbone": "pooled",
  "model.layers": 1,
  "model.conditioned": False,
  "decode.budget": "",
}
SHARES = (0, 25, 50, 75, 100)  # of saves, per cent of the budget
RESAMPLES = 2000


def main() -> None:
  """Trains what is missing, plays the test, prints and writes it."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  towers = options.workdir / "two_tower"
  for folder, fields in ((options.workdir, {}), (towers, TWO_TOWER)):
    if not (folder / "report.json").is_file():
      command = [sys.executable, "-m", "pinrec_jax.main", f"--config={CONFIG}"]
      command += [f"--workdir={folder}", "--mode=train", *rest]
      command += [f"--config.{path}={value}" for path, value in fields.items()]
      subprocess.run(command, check=True)
  config = runpy.run_path(CONFIG)["get_config"]()
  dataset = dataset_lib.load(config.data)
  cases = splits.cases(dataset, "test")
  arms = lists(dataset, cases, options.workdir, towers)
  acted = {
    name: actions(dataset, cases, config.data.synthetic, shown)
    for name, shown in arms.items()
  }
  found = {}
  for name in arms:
    drawn, expected = acted[name]
    found[name] = {}
    for n, outcome in enumerate(synthetic.OUTCOMES):
      own: dict[str, Any] = {
        "per_user": float(drawn[n].mean()),
        "expected_per_user": float(expected[n].mean()),
      }
      for other in ("0 % save", "two-tower"):
        own[f"lift over {other}"] = lift(drawn[n], acted[other][0][n])
      found[name][outcome] = own
  record.write(options.output, rest, users=len(cases), list=K, arms=found)
  plot(found, options.output.with_suffix(".png"))
  print(table(found))


def lists(
  dataset: dataset_lib.Dataset,
  cases: list[splits.Case],
  workdir: pathlib.Path,
  towers: pathlib.Path,
) -> dict[str, Int[np.ndarray, "b k"]]:
  """Returns what each arm shows each user."""
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
    trained = loop.best(config, dataset.catalogue, folder)
    retriever = retriever_lib.of_dataset(
      config, trained.model, trained.params, dataset
    )
    return {
      name: retrieval.retrieve(
        retriever, cases, size=K, budget=budget, quiet=True
      ).items
      for name, budget in budgets.items()
    }

  budgets = {}
  for share in SHARES:
    budget = {"click": 1 - share / 100, "save": share / 100}
    budgets[f"{share} % save"] = {n: part for n, part in budget.items() if part}
  arms |= shown(workdir, config, budgets)
  plain = suite.configured(config, TWO_TOWER, "two-tower")
  return arms | shown(towers, plain, {"two-tower": {}})


def actions(
  dataset: dataset_lib.Dataset,
  cases: list[splits.Case],
  made: config_lib.Synthetic,
  shown: Int[np.ndarray, "b k"],
) -> tuple[Float[np.ndarray, "o b"], Float[np.ndarray, "o b"]]:
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
      cells.append(f"{own['per_user']:.3f}")
      for other in ("0 % save", "two-tower"):
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
  axes.plot(
    [found[name][one]["per_user"] for name in budgets],
    [found[name][other]["per_user"] for name in budgets],
    marker="o",
    label="PinRec-OC, its budget turned",
  )
  for name in budgets:
    axes.annotate(
      name, (found[name][one]["per_user"], found[name][other]["per_user"])
    )
  for name in ("two-tower", "popularity"):
    axes.plot(
      found[name][one]["per_user"],
      found[name][other]["per_user"],
      "s",
      label=name,
    )
  axes.set_xlabel(f"{one}s a user, of {K} shown")
  axes.set_ylabel(f"{other}s a user")
  axes.legend()
  figure.tight_layout()
  figure.savefig(path, dpi=120)


if __name__ == "__main__":
  main()
