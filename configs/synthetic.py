"""PinRec-OC in the synthetic world, whose best answers are known.

Source: generated; nothing is downloaded.

  bash launch/local.sh --config=configs/synthetic.py --workdir=runs/synthetic
  python benchmarks/optimum.py --workdir=runs/synthetic-seeds \
    --output=results/synthetic.json

The second command trains three seeds. It compares the lists for each requested
outcome with the optimum: the lists of the world's own probabilities, for the
same users and targets.

Time: 4 minutes per seed on two cores of a shared x86-64 machine. Expect
recall@10 of about .525 for clicks if clicks are requested, where the optimum is
.531. For saves, expect .435 of .438 (results/synthetic.json).
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns the configuration of the synthetic world."""
  config = config_lib.Config()
  config.data.name = "synthetic"
  config.data.synthetic_users = 4000
  # Users engage with the same item several times.
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
