"""PinRec-UC, the unconditioned twin of a run, for comparison."""

import pathlib
from collections.abc import Mapping

from pinrec_jax import config as config_lib
from pinrec_jax.training import runs

FOLDER = "uc"  # Folder of the twin in the work folder of the run.


def of_config(config: config_lib.Config) -> config_lib.Config:
  """Returns the same run without conditions."""
  other = config.train.init_from
  changes: Mapping[str, object] = {
    "train.init_from": str(pathlib.Path(other) / FOLDER) if other else "",
    "model.conditioned": False,
    "decode.budget": "",
    "decode.surface": "",
    "decode.item_type": "",
    "decode.offsets": (),
    "evals.oracle_time": False,
  }
  return config_lib.replace(config, **changes)


def wanted(config: config_lib.Config) -> bool:
  """Whether a run is compared with a twin."""
  return config.evals.twin and config.model.conditioned


def is_trained(config: config_lib.Config, workdir: pathlib.Path) -> bool:
  """Whether the run of a work folder has a twin that finished its training."""
  return wanted(config) and runs.is_finished(
    of_config(config), workdir / FOLDER
  )
