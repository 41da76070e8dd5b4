"""RecTools' SASRec on the histories that benchmarks/sasrec.py writes.

It runs in a virtual environment of its own, which launch/peers.sh makes:

  python benchmarks/peers/rectools_sasrec.py HISTORIES.npz LISTS.npz \
    --seed=0 --epochs=8
"""

import argparse
import time

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

FACTORS, BLOCKS, HEADS, LENGTH = 64, 2, 2, 50


def main() -> None:
  """Trains on every history and writes a list for each test user."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("histories")
  parser.add_argument("lists")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--epochs", type=int, default=8)
  parser.add_argument("--size", type=int, default=100)
  options = parser.parse_args()
  lightning.seed_everything(options.seed)
  read = np.load(options.histories)
  users = read["test_users"]
  # Some events have no time, so their order replaces it.
  order = pd.to_timedelta(np.arange(len(read["item"])), unit="s")
  dataset = Dataset.construct(
    pd.DataFrame(
      {
        Columns.User: read["user"],
        Columns.Item: read["item"],
        Columns.Weight: 1,
        Columns.Datetime: pd.Timestamp("2022-01-01") + order,
      }
    )
  )
  model = SASRecModel(
    n_factors=FACTORS, n_blocks=BLOCKS, n_heads=HEADS, session_max_len=LENGTH,
    dropout_rate=0.2, lr=1e-3, batch_size=128, loss="softmax",
    epochs=options.epochs, deterministic=True, verbose=0,
  )  # fmt: skip
  began = time.monotonic()
  model.fit(dataset)
  seconds = time.monotonic() - began
  lengths = pd.Series(read["user"]).value_counts()
  known = users[lengths.reindex(users, fill_value=0) > 1]
  found = model.recommend(known, dataset, k=options.size, filter_viewed=True)
  lists = np.zeros((len(users), options.size), np.int64)
  row = pd.Index(users).get_indexer(pd.Index(found[Columns.User]))
  lists[row, found[Columns.Rank] - 1] = found[Columns.Item]
  np.savez(options.lists, lists=lists, seconds=seconds)


if __name__ == "__main__":
  main()
