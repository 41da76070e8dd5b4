"""SASRec on Amazon Beauty: the next review.

Source: sequential_data.txt and items.csv of the 5-core sequences, in FOLDER.

  bash launch/local.sh --config=configs/beauty.py \
    --config.data.source=FOLDER --workdir=runs/beauty

Protocol: each user's last review is the test, and the one before it is the
validation, which chooses the checkpoint and is never trained on. All 12,101
products are candidates, except those that the user reviewed.

Training: full softmax, 51 epochs. Time: 25 minutes on one core of a shared
x86-64 machine. Expect recall@10 of about .093 and ndcg@10 of about .056
(results/beauty.json).
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns the configuration of Amazon Beauty."""
  config = config_lib.Config()
  config.data.name = "amazon/beauty"
  config.data.sequence_length = 50
  # The log has one outcome, and neither times nor surfaces.
  config.model.conditioned = False
  config.model.inputs = ("content",)
  config.model.age_edges = ()
  config.decode.age = -1
  config.model.num_layers = 1
  config.model.num_heads = 1
  config.model.positions = "end"
  config.model.table_size = 32768
  # The next product is often near the last one. Histories have nine reviews on
  # average, too few to learn this with a layer between items and states. On the
  # validation, recall@10 was .104 without this layer and .090 with it. A full
  # softmax raised it to .114, and a dropout of .3 instead of .5 to .118.
  config.model.head = "state"
  config.model.dropout = 0.3
  config.loss.full_softmax = True
  config.train.steps = 10_000
  config.train.batch_size = 16
  config.train.learning_rate = 1e-3
  config.train.eval_every = 1000
  config.train.eval_users = 0
  # Fixed by the protocol: the list has no item that the user engaged with.
  config.index.filter_seen = "engagements"
  config.evals.cutoffs = (10, 50, 200)
  config.evals.twin, config.evals.sweep = False, ()
  return config
