"""RecTools' SASRec: an evaluation.

  python -m peers.rectools_evaluation --users=6040 --lengths=full

A turn is `recommend`, from the log, and the metrics of RecTools.
"""

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
from peers import turns, work
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import NDCG, Recall, calc_metrics
from rectools.models import SASRecModel

SHORT, LONG, BATCH = 10, 200, 256


def main() -> None:
  """Takes turns; each evaluates all users."""
  rows, kept = work.evaluation()
  users = np.arange(len(rows))
  dataset = Dataset.construct(interactions(rows[:, :-1], kept[:, :-1]))
  test = interactions(rows[:, -1:], kept[:, -1:])
  unit = work.UNITS["T1"]
  # One batch of training is enough: the weights do not change the cost.
  model = SASRecModel(
    n_factors=unit.width, n_blocks=work.BLOCKS, n_heads=unit.heads,
    session_max_len=work.LENGTH, dropout_rate=work.DROPOUT, lr=work.RATE,
    batch_size=work.BATCH, recommend_batch_size=BATCH, verbose=0,
    dataloader_num_workers=0,
    loss="sampled_softmax", n_negatives=unit.negatives,
    get_trainer_func=lambda: lightning.Trainer(
      max_epochs=1, limit_train_batches=1, logger=False,
      enable_checkpointing=False, enable_progress_bar=False,
      enable_model_summary=False,
    ),
  )  # fmt: skip
  model.fit(dataset)
  metrics = {f"recall@{k}": Recall(k=k) for k in (SHORT, LONG)}
  metrics |= {f"ndcg@{SHORT}": NDCG(k=SHORT, divide_by_achievable=True)}

  def turn() -> dict[str, float]:
    lists = model.recommend(users, dataset, k=LONG, filter_viewed=True)
    return calc_metrics(metrics, lists, test)

  turns.take(lambda: print(turn()))


def interactions(rows: np.ndarray, kept: np.ndarray) -> pd.DataFrame:
  """Returns one line per event that a user has; rows are users."""
  user, place = np.nonzero(kept)
  return pd.DataFrame(
    {
      Columns.User: user,
      Columns.Item: rows[kept],
      Columns.Weight: 1,
      Columns.Datetime: pd.date_range("2022", periods=rows.shape[1])[place],
    }
  )


if __name__ == "__main__":
  main()
