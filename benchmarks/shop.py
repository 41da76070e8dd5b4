"""PinRec-OC beside the baselines on a log in which users repeat items.

  python benchmarks/shop.py --workdir=runs/shop --seeds=3 \
    --output=results/shop.json [--config.FIELD=VALUE ...]

The log is a synthetic shop. A user has three favourite categories. In a
session, the user views items of one category, the more popular the likelier, or
returns to a wanted item, the later the likelier. An item is wanted once it was
put into the cart. It stays wanted after a purchase if it is a consumable, as
half of the categories are. So most views are never repeated, and which ones are
can be learned from the actions of the history.

Each seed trains configs/custom_log.py for up to 1,000 steps. Sizes and
index.filter_seen follow the log. All further flags go to pinrec_jax.main.
"""

import argparse
import pathlib

import numpy as np
import pandas as pd
import record
import repeats
import seeds

from pinrec_jax import markdown

CONFIG, K = "configs/custom_log.py", 10
USERS, ITEMS, CATEGORIES = 2500, 400, 20
SESSIONS, VIEWS = 8, 6  # Means per user, and per session.
START, DAY = 1_700_000_000, 86_400
TRAINING = ("--config.train.steps=1000", "--config.train.eval_every=100")
AGAIN = 0.3  # Probability that a view is of a wanted item.
CART, BUY = 0.15, 0.5  # Probabilities of a cart after a view, and a buy after.


def main() -> None:
  """Writes the log, trains missing seeds, prints and writes the figures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--again", type=float, default=AGAIN)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  options.workdir.mkdir(parents=True, exist_ok=True)
  path = options.workdir / "shop.csv"
  log(options.again).to_csv(path, index=False)
  flags = [f"--config.data.events={path}", *TRAINING, *rest]
  found = repeats.of_seeds(CONFIG, options.workdir, options.seeds, flags)
  figures = repeats.summary([*found.values()])
  record.write(options.output, rest, figures=figures)
  print(table(figures))


def table(figures: dict) -> str:
  """Returns one line per model, with recall by outcome, as Markdown."""
  groups = ["", "/view", "/cart", "/buy"]
  rows = []
  for prefix, name in seeds.MODELS.items():
    keys = [f"{prefix}recall@{K}{group}" for group in groups]
    if keys[0] not in figures:
      continue
    rows.append(
      [
        name,
        *(f"{figures[k]['mean']:.4f} ± {figures[k]['std']:.4f}" for k in keys),
      ]
    )
  head = [f"recall@{K}{group}" for group in groups]
  return markdown.table(["model", *head], rows)


def log(again: float, users: int = USERS) -> pd.DataFrame:
  """Returns the events of the shop.

  Args:
    again: probability that a view is of a wanted item, if there is one.
    users: number of users.
  """
  rows = []
  for user in range(users):
    rng = np.random.default_rng([0, user])
    rows += [(f"u{user}", *row) for row in _user(rng, again)]
  return pd.DataFrame(rows, columns=["user", "item", "action", "time"])


def _user(rng: np.random.Generator, again: float) -> list[tuple[str, str, int]]:
  """Returns the events of one user: item, action and time."""
  per_category = ITEMS // CATEGORIES
  share = 1 / np.arange(1, per_category + 1)
  favourites = rng.choice(CATEGORIES, 3, replace=False)
  time = START + int(rng.integers(30 * DAY))
  wanted: list[int] = []  # The latest last.
  rows: list[tuple[str, str, int]] = []
  for _ in range(2 + rng.poisson(SESSIONS - 2)):
    category = rng.choice(favourites, p=[0.6, 0.3, 0.1])
    for _ in range(1 + rng.poisson(VIEWS - 1)):
      time += int(rng.integers(20, 300))
      if wanted and rng.random() < again:
        item = wanted[-min(int(rng.geometric(0.15)), len(wanted))]
      else:
        rank = rng.choice(per_category, p=share / share.sum())
        item = int(category + CATEGORIES * rank)
      rows.append((f"i{item}", "view", time))
      if rng.random() < CART:
        time += int(rng.integers(5, 60))
        rows.append((f"i{item}", "cart", time))
        wanted = [*(old for old in wanted if old != item), item]
        if rng.random() < BUY:
          time += int(rng.integers(30, 600))
          rows.append((f"i{item}", "buy", time))
          if item % 2:  # It is no consumable.
            wanted.remove(item)
    time += int(rng.exponential(3 * DAY))
  return rows


if __name__ == "__main__":
  main()
