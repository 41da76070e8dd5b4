"""A tiny shop whose log grows by one file a day."""

import csv

import numpy as np
import pytest

from pinrec_jax import config as config_lib

DAY = 86400
START = 19_000 * DAY
ITEMS = 24
KINDS = 3  # A user stays within one kind of items.


class Shop:
  """The files of a log that grows, and a configuration that reads them."""

  def __init__(self, folder):
    self.folder = folder
    (folder / "events").mkdir(parents=True)

  def items(self, size=ITEMS, *, without=(), kinds=KINDS):
    """Writes the item table; later items may have other kinds."""
    rows = [
      (n, f"kind {n % kinds}", 10 + n, f"item {n}")
      for n in range(size)
      if n not in without
    ]
    header = ("item", "kind", "price", "title")
    self._write("items.csv", header, rows)

  def day(self, number, users=30, *, items=ITEMS, name="", events=4):
    """Writes the events of a day; each user buys items of one kind."""
    rng = np.random.default_rng(number)
    rows = []
    for user in range(users):
      times = np.sort(rng.integers(0, DAY - 60, events))
      for time in times:
        choice = rng.integers(items // KINDS) * KINDS + user % KINDS
        action = "click" if rng.random() < 0.7 else "buy"
        moment = START + number * DAY + int(time)
        rows.append((f"u{user}", int(choice), moment, action))
    self.write(name or f"day{number}.csv", rows)

  def write(self, name, rows):
    """Writes a file of events."""
    header = ("user", "item", "time", "action")
    self._write(f"events/{name}", header, rows)

  def _write(self, name, header, rows):
    with (self.folder / name).open("w", newline="") as file:
      csv.writer(file).writerows([header, *rows])

  def config(self, **fields):
    """Returns a configuration that trains in seconds."""
    config = config_lib.Config()
    data = config.data
    data.name, data.prepared_dir = "custom_log", str(self.folder / "prepared")
    data.events = str(self.folder / "events")
    data.items = str(self.folder / "items.csv")
    data.custom.actions = "click,buy"
    data.custom.column_types = "price:number"
    data.sequence_length = 16
    config.model.hidden_dim = config.model.embedding_dim = 16
    config.model.num_layers, config.model.table_size = 1, 64
    config.loss.in_batch_negatives, config.loss.uniform_negatives = 32, 8
    config.train.steps, config.train.warmup_steps = 4, 1
    config.train.batch_size, config.train.eval_every = 8, 4
    config.index.kind, config.evals.cutoffs = "exact", (3, 6)
    config.evals.sweep, config.evals.twin = (), False
    config.index.filter_seen = "nothing"
    return config_lib.replace(config, **fields)


@pytest.fixture
def shop(tmp_path):
  """A shop with three days of events."""
  found = Shop(tmp_path / "shop")
  found.items()
  for number in range(3):
    found.day(number)
  return found
