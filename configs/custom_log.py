"""PinRec-OC and its unconditioned twin on your own log.

  bash launch/local.sh --config=configs/custom_log.py --workdir=runs/own \
    --mode=prepare --config.data.events=PATH
  bash launch/local.sh --config=configs/custom_log.py --workdir=runs/own \
    --config.data.events=PATH

PATH is a file, a folder or a pattern of CSV, JSON lines or Parquet. The events
have the columns `user` and `item`, and usually `time` and `action`.
docs/custom_log.md has a recipe for every other layout.

The first command prepares the log. It prints the first and the last time, the
actions that are predicted, the columns that are not read, and the bad rows. The
second command trains, indexes and evaluates. Name an item table with
--config.data.items=PATH, and the actions to predict with
--config.data.custom.actions=click,save.

Time and results depend on the log.
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns a configuration to start from."""
  config = config_lib.Config()
  config.data.name = "custom_log"
  # Name the outcomes between which the budget moves, such as ("click", "save").
  config.evals.sweep = ()
  return config
