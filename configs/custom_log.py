"""PinRec-OC and its unconditioned twin on a log of your own.

  bash launch/local.sh --config=configs/custom_log.py --workdir=runs/own \
    --mode=prepare --config.data.events=PATH --config.data.items=PATH \
    --config.data.custom.actions=click,save
  bash launch/local.sh --config=configs/custom_log.py --workdir=runs/own \
    --config.data.events=PATH --config.data.items=PATH \
    --config.data.custom.actions=click,save

PATH is a file, a folder or a pattern of CSV, JSON lines or Parquet. What stands
in them is in docs/data.md; config.data.custom says what columns are called. The
first command prepares the log, says what it holds and which rows were bad; the
second trains, indexes and evaluates. Copy this file and fill in what is yours.
How long it takes and what to expect depends on the log.
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns a configuration to start from."""
  config = config_lib.Config()
  config.data.name = "custom_log"
  # Named beside the paths; the sweep would turn the budget from one of them to
  # the next.
  config.evals.sweep = ()
  return config
