"""HSTU on MovieLens 1M, next rating, as the field's tables are measured.

  bash launch/local.sh --config=configs/ml_1m.py \
    --config.data.source=FOLDER --workdir=runs/ml_1m

FOLDER holds ratings.dat and movies.dat of ml-1m.zip. Each user's last rating is
the test and the one before it the validation, by which the checkpoint is
chosen and which is never trained on; all 3,706 films are candidates, those a
user rated are left out. No request sees its target's time: HSTU's biases by
time compare a position's own time with earlier ones.

A full softmax, 48 epochs, half an hour on one CPU core. Expect recall@10 of
about .338 and ndcg@10 of .198; results/ml_1m.json has the rest.

--config=configs/ml_1m.py:told_time trains the head to be asked for a time ahead
and reports, as told_time_recall@10 and so on, what is found when the target's
own is asked for: no real request knows it, the models held against it do.
Expect .353 of it, and .336 of recall@10 (results/ml_1m_told.json).
With --config.model.num_layers=4 --config.model.hidden_dim=128, an hour and a half or
more, expect .38 of it and .36 (results/ml_1m_told_wide.json).
"""

from pinrec_jax import config as config_lib


def get_config(kind: str = "") -> config_lib.Config:
  """Returns the configuration of MovieLens 1M, or of its "told_time"."""
  if kind not in ("", "told_time"):
    raise ValueError(f"{kind!r} is unknown; choose told_time, or none")
  config = config_lib.Config()
  config.data.name = "movielens/1m"
  config.data.sequence_length = 200
  config.model.backbone = "hstu"
  # Any rating is the target, so no outcome is asked for.
  config.model.conditioned = False
  config.model.age_edges = ()
  config.decode.age = -1
  config.loss.full_softmax = True
  config.train.steps = 15_000
  config.train.batch_size = 16
  config.train.learning_rate = 1e-3
  config.train.eval_every = 1500
  config.train.log_every = 100
  config.train.eval_users = 0
  config.evals.cutoffs = (10, 50, 200)
  config.evals.twin, config.evals.sweep = False, ()
  if kind:
    config.model.conditioned = config.evals.oracle_time = True
    config.decode.budget = "unspecified:1"
    config.model.offset_edges = (1, 10, 20, 30, 60, 120, 600, 3600, 86400)
  return config
