"""HSTU on MovieLens 1M: the next rating.

Source: ratings.dat and movies.dat of ml-1m.zip, in FOLDER.

  bash launch/local.sh --config=configs/ml_1m.py \
    --config.data.source=FOLDER --workdir=runs/ml_1m

Protocol: each user's last rating is the test, and the one before it is the
validation, which chooses the checkpoint and is never trained on. All 3,706
films are candidates, except those that the user rated. No request has the time
of its target: HSTU's time biases compare the times of history events.

Times that a rebuilt copy of the log estimates are unknown to the model. From
such times, it could tell when the next rating came. With them
(--config.data.name=movielens/1m), recall@10 is .338.

Training: full softmax, 48 epochs. Time: half an hour on one core of a shared
x86-64 machine. Expect recall@10 of about .327 and ndcg@10 of about .190
(results/ml_1m.json).

--config=configs/ml_1m.py:oracle_time trains with times ahead as a condition. It
also reports oracle_time_recall@10 and so on, for requests with the time of
their target. No real request has it, but the models of some papers do. Expect
an oracle_time_recall@10 of .353 and a recall@10 of .336
(results/ml_1m_oracle_time.json).

With --config.model.num_layers=4 and --config.model.hidden_dim=128 as well,
expect .38 and .36 after an hour and a half or more
(results/ml_1m_oracle_time_wide.json).
"""

from pinrec_jax import config as config_lib


def get_config(kind: str = "") -> config_lib.Config:
  """Returns the configuration of MovieLens 1M, or its variant "oracle_time"."""
  if kind not in ("", "oracle_time"):
    raise ValueError(f"{kind!r} is unknown; choose oracle_time, or nothing")
  config = config_lib.Config()
  config.data.name = "movielens/1m" if kind else "movielens/1m_exact_times"
  config.data.sequence_length = 200
  config.model.backbone = "hstu"
  # Every rating is a target, so no outcome is requested.
  config.model.conditioned = False
  config.model.age_edges = ()
  config.decode.age = -1
  config.loss.full_softmax = True
  config.train.steps = 15_000
  config.train.batch_size = 16
  config.train.learning_rate = 1e-3
  config.train.eval_every = 1500
  config.train.eval_users = 0
  # Fixed by the protocol: the list has no item that the user engaged with.
  config.index.filter_seen = "engagements"
  config.evals.cutoffs = (10, 50, 200)
  config.evals.twin, config.evals.sweep = False, ()
  if kind:
    config.model.conditioned = config.evals.oracle_time = True
    config.decode.budget = "unspecified:1"
    config.model.offset_edges = (1, 10, 20, 30, 60, 120, 600, 3600, 86400)
  return config
