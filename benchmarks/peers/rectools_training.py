"""RecTools' SASRec: a training step.

  python -m peers.rectools_training --unit=T1

RecTools has its own model, loss and trainer. A step lasts from the start of its
batch to the end of the update, without the preparation of the batch.
"""

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
from peers import turns, work
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


class Turns(turns.Callback, lightning.Callback):
  """Waits before a turn, and reports its seconds."""


def main() -> None:
  """Trains until no turn is wanted."""
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
