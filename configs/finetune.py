"""The demo's model, fine-tuned on one surface of the embedded excerpt.

Source: in the package; nothing is downloaded.

  bash launch/local.sh --config=configs/demo.py --workdir=runs/demo
  bash launch/local.sh --config=configs/finetune.py --workdir=runs/finetune

This is the second of two stages (arXiv 2504.10507, pre-training and
fine-tuning). Histories are those of all surfaces. Targets are clicks and long
views on tab_1. Impressions on tab_1 without engagement are negatives. Training
starts from the weights in train.init_from. This command evaluates the first
stage on tab_1:

  bash launch/local.sh --config=configs/demo.py --workdir=runs/demo \
    --mode=evaluate --config.data.target_surface=tab_1 \
    --config.data.target_outcomes=is_click,long_view

Time: a minute and a half on two cores of a shared x86-64 machine, with the
twin. Expect recall@10 of .0414 ± .0012 (three seeds), and .0428 ± .0014 after
the first stage: fine-tuning does not help on such a small log.
"""

from pinrec_jax import config as config_lib


def get_config() -> config_lib.Config:
  """Returns the configuration of the second stage."""
  config = config_lib.Config()
  config.data.target_surface = "tab_1"
  config.data.target_outcomes = "is_click,long_view"
  config.model.inputs = ("content",)
  config.model.scale_embeddings = False
  config.loss.impression_negatives = 256
  config.train.init_from = "runs/demo"
  config.train.learning_rate = 1e-4
  config.train.warmup_steps = 3
  config.train.steps = 25
  config.train.batch_size = 32
  config.train.eval_every = 25
  config.train.train_on_validation = True
  config.decode.age = -1
  config.decode.surface = "tab_1"
  config.decode.budget = "long_view:0.8,is_click:0.2"
  # Fixed by the protocol: the list has no item that the user engaged with.
  config.index.filter_seen = "engagements"
  config.evals.sweep = ("is_click", "long_view")
  return config
