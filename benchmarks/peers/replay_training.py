"""RePlay's SASRec: a training step.

  python -m peers.replay_training --unit=T3

RePlay has its own model, loss and trainer. A step lasts from the start of its
batch to the end of the update, without the preparation of the batch.
"""

import lightning
import numpy as np
import torch
from peers import turns, work
from replay.data import FeatureHint, FeatureType
from replay.data.nn import TensorFeatureInfo, TensorSchema
from replay.models.nn.sequential.sasrec import SasRec
from replay.models.nn.sequential.sasrec.dataset import SasRecTrainingBatch


class Turns(turns.Callback, lightning.Callback):
  """Waits before a turn, and reports its seconds."""


def batch() -> SasRecTrainingBatch:
  """Returns full histories; RePlay numbers items from 0."""
  rows = torch.from_numpy(work.histories().astype(np.int64)) - 1
  there = torch.ones((len(rows), work.LENGTH), dtype=torch.bool)
  return SasRecTrainingBatch(
    torch.arange(len(rows)), there, {"item": rows[:, :-1]}, rows[:, 1:], there
  )


def main() -> None:
  """Trains until no turn is wanted."""
  unit = work.unit()
  schema = TensorSchema(
    TensorFeatureInfo(
      "item", FeatureType.CATEGORICAL, is_seq=True,
      feature_hint=FeatureHint.ITEM_ID, cardinality=work.ITEMS,
      padding_value=work.ITEMS, embedding_dim=unit.width,
    )
  )  # fmt: skip
  model = SasRec(
    schema, block_count=work.BLOCKS, head_count=unit.heads,
    hidden_size=unit.width, max_seq_len=work.LENGTH, dropout_rate=work.DROPOUT,
    loss_type="CE", loss_sample_count=unit.negatives or None,
  )  # fmt: skip
  trainer = lightning.Trainer(callbacks=[Turns()], **turns.TRAINER)
  batches = torch.utils.data.DataLoader(
    [batch()] * 4, batch_size=None, collate_fn=None
  )
  trainer.fit(model, batches)


if __name__ == "__main__":
  main()
