"""PinRec-OC and its unconditioned twin on the embedded KuaiRand excerpt.

bash launch/local.sh --config=configs/demo.py --workdir=runs/demo
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns the configuration of the demo."""
  config = config_lib.Config()
  config.train.steps = 400
  config.train.batch = 32
  config.train.eval_every = 100
  return config
