"""The public logs of the claims, as base configurations.

The rows change these configurations. `reproduce.py --log=pure` starts from
`--config=benchmarks/claims/logs.py:pure`.

  mini       embedded excerpt of KuaiRand (the default)
  synthetic  synthetic world with known best answers
  pure       KuaiRand-Pure; needs --config.data.source=FOLDER
  ml_1m      MovieLens 1M; needs --config.data.source=FOLDER

No model sees the action or the time of its target.
"""

import pathlib
import runpy

from pinrec_jax import config as config_lib
from pinrec_jax import config_files
from pinrec_jax.data import kuairand, movielens, synthetic

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
FAMILY = runpy.run_path(str(CONFIGS / "family.py"))
# Trains on MovieLens until validation recall stops rising. The five epochs of
# configs/family.py are too few for that.
LONGER = {
  "loss.full_softmax": True,
  "train.steps": 5000,
  "train.batch_size": 16,
  "train.learning_rate": 1e-3,
  "train.train_on_validation": False,
}
LOGS = {
  **FAMILY["LOGS"],
  # As in configs/kuairand_pure.py.
  "pure": {
    **FAMILY["LOGS"]["pure"],
    "loss.full_softmax": True,
    "model.head": "state",
    "model.embedding_dim": 64,
    # UC finds more with it, and every arm gets what one arm gets.
    "model.positions": "end",
  },
  "ml_1m": {**FAMILY["LOGS"]["ml_1m"], **LONGER},
  # No outcome is requested, except where a row requests one.
  "synthetic": {"decode.budget": "unspecified:1"},
}
OUTCOMES = {
  "mini": kuairand.OUTCOMES,
  "pure": kuairand.OUTCOMES,
  "ml_1m": movielens.OUTCOMES,
  "synthetic": synthetic.OUTCOMES,
}


def get_config(log: str = "mini") -> config_lib.Config:
  """Returns the configuration that all arms on a log start from."""
  if log not in LOGS:
    raise ValueError(f"log {log!r} is unknown; choose from {list(LOGS)}")
  base = config_lib.Config()
  # Fixed by the protocol: no item that the user engaged with is listed.
  base.index.filter_seen = "engagements"
  if log == "synthetic":
    base = config_files.read_config(str(CONFIGS / "synthetic.py"))
  fields = {
    **LOGS[log],
    "evals.twin": False,
    "evals.sweep": (),
    "evals.cutoffs": (10, 100),
    "index.kind": "exact",
  }
  return config_lib.replace(base, **fields)
