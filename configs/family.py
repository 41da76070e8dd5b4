"""Every model of the family on one log, with the same training.

Source: the log's own files, in FOLDER; the excerpt (mini) needs none.

  bash launch/local.sh --config=configs/family.py:pure/sasrec \
    --config.data.source=FOLDER --workdir=runs/sasrec

The argument after the colon is LOG/MODEL, from the two tables below; the log is
mini by default. On one log, all models have the same sizes, negatives and
number of updates. A model differs in its own fields only.

benchmarks/family.py runs all models of a log. Time per model, on one core of a
shared x86-64 machine: 1 to 2 minutes on mini, 10 to 30 on pure, and 20 to 60 on
ml_1m. Expect the figures of results/family_LOG.json.
"""

from pinrec_jax import config as config_lib

DAY = 86400
LOGS = {
  # As in configs/demo.py: times and surfaces lower recall here.
  "mini": {
    "data.name": "kuairand/mini",
    "model.scale_embeddings": False,
    "model.inputs": ("content",),
    "decode.age": -1,
    "decode.budget": "long_view:0.8,is_click:0.2",
    "train.steps": 400,
    "train.batch_size": 32,
    "train.eval_every": 100,
    "train.train_on_validation": True,
  },
  "pure": {
    "data.name": "kuairand/pure",
    "model.embedding_dim": 128,
    "model.inputs": ("content",),
    "decode.budget": "long_view:0.8,is_click:0.2",
    "train.steps": 2000,
    "train.batch_size": 32,
    "train.eval_every": 500,
    "train.train_on_validation": True,
  },
  # Every rating is a target, so no outcome is requested. The model reads the
  # times of the history, and never the time of the target.
  "ml_1m": {
    "data.name": "movielens/1m",
    "data.sequence_length": 200,
    "model.age_edges": (),
    "decode.age": -1,
    "decode.budget": "unspecified:1",
    # SASRec has a validation recall@10 of .252 with batches of 8, and of .216
    # with batches of 16 for the same number of rows.
    "train.steps": 3000,
    "train.batch_size": 8,
    "train.eval_every": 1000,
    "train.train_on_validation": True,
    "evals.cutoffs": (10, 50, 200),
  },
}
# Fields that remove target ages, a condition that the paper does not have, from
# logs whose requests use it.
AGELESS = {"pure": {"model.age_edges": (), "decode.age": -1}}
MODELS = {
  # Mean of the history against item vectors, without order (two-tower model).
  "two_tower": {
    "model.backbone": "pooled",
    "model.num_layers": 1,
    "model.conditioned": False,
  },
  # The same with conditions.
  "two_tower_oc": {"model.backbone": "pooled", "model.num_layers": 1},
  # Items and their order alone, and the next item as the target. Positions
  # count from the end, as in left-padded rows (arXiv 1808.09781).
  "sasrec": {
    "model.conditioned": False,
    "model.inputs": (),
    "model.positions": "end",
  },
  # One engagement, drawn from the next four weeks (arXiv 2205.04507).
  "pinnerformer": {
    "model.conditioned": False,
    "loss.objective": "dense",
    "loss.window": 28 * DAY,
  },
  # Gated pointwise attention with position and time biases (arXiv 2402.17152).
  "hstu": {"model.backbone": "hstu", "model.conditioned": False},
  "hstu_oc": {"model.backbone": "hstu"},
  # PinRec (arXiv 2504.10507): unconditioned; conditioned on outcomes; with the
  # nearest of several targets within a day or a session; and with one vector
  # per time ahead.
  "uc": {"model.conditioned": False},
  "oc": {},
  "windowed_oc": {"loss.objective": "windowed"},
  "session_oc": {"loss.objective": "session"},
  "mt_oc": {
    "loss.objective": "multi_token",
    "model.offset_edges": (),
    "decode.offsets": (-1, 3600, DAY),
  },
}


def get_config(name: str = "mini/oc") -> config_lib.Config:
  """Returns the configuration of one model on one log."""
  log, _, model = name.rpartition("/")
  log = log or "mini"
  for kind, chosen, known in (("log", log, LOGS), ("model", model, MODELS)):
    if chosen not in known:
      raise ValueError(
        f"{kind} {chosen!r} is unknown; choose from {list(known)}"
      )
  fields = {
    "evals.twin": False,
    "evals.sweep": (),
    # Fixed by the protocol: the list has no item that the user engaged with.
    "index.filter_seen": "engagements",
    **LOGS[log],
    **MODELS[model],
  }
  config = config_lib.replace(config_lib.Config(), **fields)
  if not config.model.conditioned:
    config.decode.budget = ""
  return config
