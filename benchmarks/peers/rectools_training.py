"""RecTools' SASRec: a training step.

  python rectools_training.py --unit=T1

Its own model, loss and trainer; a step is from when its batch is there to
after the update, the making of batches left out.
"""

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import turns
import work
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


class Turns(turns.Callback, lightning.Callback):
  """Waits before a turn, and tells the seconds it took."""


def main() -> None:
  """Trains until there are no more turns."""
  unit = work.unit()
  rows = work.histories(4 * work.BATCH)
  users, length = rows.shape
  dataset = Dataset.construct(
    pd.DataFrame(
      {
        Columns.User: np.repeat(np.arange(users), length),
        Columns.Item: rows.reshape(-1),
        Columns.Weight: 1,
        Columns.Datetime: np.tile(pd.date_range("2022", periods=length), users),
      }
    )
  )
  sampled = {"loss": "sampled_softmax", "n_negatives": unit.negatives}
  model = SASRecModel(
    n_factors=unit.width, n_blocks=work.BLOCKS, n_heads=unit.heads,
    session_max_len=work.LENGTH, dropout_rate=work.DROPOUT, lr=work.RATE,
    batch_size=work.BATCH, verbose=0, dataloader_num_workers=0,
    lightning_module_kwargs={"logits_t": 0.05},
    get_trainer_func=lambda: lightning.Trainer(
      callbacks=[Turns()], **turns.TRAINER
    ),
    **(sampled if unit.negatives else {"loss": "softmax"}),
  )  # fmt: skip
  model.fit(dataset)


if __name__ == "__main__":
  main()
