"""SASRec on Amazon Beauty, next review, as the field's tables are measured.

  bash launch/local.sh --config=configs/beauty.py \
    --config.data.source=FOLDER --workdir=runs/beauty

FOLDER holds sequential_data.txt and items.csv of the 5-core sequences. Each
user's last review is the test and the one before it the validation, by which
the checkpoint is chosen and which is never trained on; all 12,101 products are
candidates, those a user reviewed are left out.

A full softmax, 51 epochs, 25 minutes on one CPU core. Expect recall@10 of
about .093 and ndcg@10 of .056; results/beauty.json has the rest.
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns the configuration of Amazon Beauty."""
  config = config_lib.Config()
  config.data.name = "amazon/beauty"
  config.data.sequence_length = 50
  # There is one outcome, and neither time nor surface.
  config.model.conditioned = False
  config.model.inputs = ("content",)
  config.model.age_edges = ()
  config.decode.age = -1
  config.model.num_layers = 1
  config.model.num_heads = 1
  config.model.positions = "end"
  config.model.table_size = 32768
  # What is bought next lies near what was bought last. A layer between items
  # and states has that to learn from histories of nine reviews: at best .090 of
  # validation's recall@10, and .104 without it; with a full softmax too .114 at
  # a dropout of .5, and .118 at .3.
  config.model.head = "state"
  config.model.dropout = 0.3
  config.loss.full_softmax = True
  config.train.steps = 10_000
  config.train.batch_size = 16
  config.train.learning_rate = 1e-3
  config.train.eval_every = 1000
  config.train.log_every = 100
  config.train.eval_users = 0
  config.evals.cutoffs = (10, 50, 200)
  config.evals.twin, config.evals.sweep = False, ()
  return config
