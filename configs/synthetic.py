"""PinRec-OC in a made-up world whose best answers are known.

  bash launch/local.sh --config=configs/synthetic.py --workdir=runs/synthetic
  python benchmarks/optimum.py --workdir=runs/synthetic-seeds \
    --output=results/synthetic.json

The second command trains three seeds and holds what each outcome retrieves
against what the world itself would: the same users, the same targets, the
world's own chances of every item. Four minutes a seed on two CPU cores. Expect
recall@10 of about .525 of clicks asked for, where .531 is the best there is,
and .435 of saves (.438); results/synthetic.json has the rest.
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns the configuration of the made-up world."""
  config = config_lib.Config()
  config.data.name = "synthetic"
  config.data.synthetic.users = 4000
  # The same item may come again, and does.
  config.index.filter_seen = "nothing"
  config.model.age_edges = ()
  config.decode.age = -1
  config.decode.budget = "click:0.5,save:0.5"
  config.train.steps = 600
  config.train.batch_size = 32
  config.train.eval_every = 200
  config.evals.twin = False
  config.evals.sweep = ("click", "save")
  return config
