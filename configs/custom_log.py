"""PinRec-OC on your own log, with sizes and steps that follow the log.

  bash launch/local.sh --config=configs/custom_log.py --workdir=runs/own \
    --mode=prepare --config.data.events=PATH
  bash launch/local.sh --config=configs/custom_log.py --workdir=runs/own \
    --config.data.events=PATH

PATH is a file, a folder or a pattern of CSV, JSON lines or Parquet. The events
have the columns `user` and `item`, and usually `time` and `action`.
docs/custom_log.md has a recipe for every other layout.

The first command prepares the log. It prints the first and the last time, the
actions that are predicted, the columns that are not read, the bad rows, and how
many engagements are repeats. The second command trains until the validation
stops rising, indexes and evaluates. It prints recall by outcome, beside four
baselines. Its last line says whether the run beats them.

Name an item table with --config.data.items=PATH, and the actions to predict
with --config.data.custom.actions=click,save. --config.evals.twin=True also
trains the unconditioned twin, for as long.

Time and results depend on the log.
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns a configuration to start from."""
  config = config_lib.Config()
  config.data.name = "custom_log"
  # These values follow the log (pinrec_jax/data/profile.py). config.json in the
  # work folder has what was chosen.
  config.model.hidden_dim = config.model.embedding_dim = 0
  config.model.table_size = 0
  config.train.batch_size = config.train.steps = config.train.eval_every = 0
  config.train.patience = 5
  config.index.filter_seen = "auto"
  config.evals.sweep = ("*",)
  config.evals.twin = False
  return config
