"""Every model of the family, on the same data with the same training.

  bash launch/local.sh --config=configs/family.py:sasrec --workdir=runs/sasrec

What follows the colon is one of FAMILY below. All of them share the sizes, the
negatives and the number of updates of the demo; each differs in the fields
listed with it and in nothing else. Another log is chosen as everywhere, with
--config.data.name and --config.data.source. About two minutes each on two CPU
cores.
"""

from pinrec_jax import config as config_lib

DAY = 86400
FAMILY = {
  # Pooled history against item vectors, no order (a two-tower model).
  "two_tower": {
    "model.backbone": "pooled",
    "model.layers": 1,
    "model.conditioned": False,
  },
  # Items and their order alone, next item (arXiv 1808.09781).
  "sasrec": {"model.conditioned": False, "model.content": False},
  # One drawn engagement of the next four weeks (arXiv 2205.04507).
  "pinnerformer": {
    "model.conditioned": False,
    "loss.objective": "dense",
    "loss.window": 28 * DAY,
  },
  # Gated pointwise attention with place and time biases (arXiv 2402.17152).
  "hstu": {"model.backbone": "hstu", "model.conditioned": False},
  "hstu_oc": {"model.backbone": "hstu"},
  # PinRec (arXiv 2504.10507): without conditions, with them, with the session's
  # minimum, and with a vector for each time ahead.
  "uc": {"model.conditioned": False},
  "oc": {},
  "session_oc": {"loss.objective": "session", "data.session_gap": DAY},
  "mt_oc": {
    "loss.objective": "multi_token",
    "decode.offsets": (0, 60, 3600, DAY),
  },
}


def get_config(name: str = "oc") -> config_lib.Config:
  """Returns the configuration of one member of the family."""
  if name not in FAMILY:
    raise ValueError(f"family {name!r} is unknown; choose from {list(FAMILY)}")
  config = config_lib.Config()
  # As in configs/demo.py: on this log, when and where mislead.
  config.model.context = False
  config.model.actions = False
  config.decode.age = -1
  config.train.steps = 400
  config.train.batch = 32
  config.train.eval_every = 100
  config.train.refit = True
  config.evals.twin = False
  for path, value in FAMILY[name].items():
    section, field = path.split(".")
    setattr(getattr(config, section), field, value)
  if config.model.conditioned:
    config.decode.budget = "long_view:0.8,is_click:0.2"
  return config
