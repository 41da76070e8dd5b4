"""The demo's model, fine-tuned on one surface of the embedded excerpt.

  bash launch/local.sh --config=configs/demo.py --workdir=runs/demo
  bash launch/local.sh --config=configs/finetune.py --workdir=runs/finetune

The second stage of the two (arXiv 2504.10507, pre-training and fine-tuning):
histories stay those of all surfaces, targets are the clicks and long views of
tab_1, and what was shown there in vain is drawn as negatives. It starts from
the weights in train.init_from, and says so. To see what the first stage does
on that surface by itself:

  bash launch/local.sh --config=configs/demo.py --workdir=runs/demo \
    --mode=evaluate --config.data.target_surface=tab_1 \
    --config.data.target_outcomes=is_click,long_view

A minute and a half on two CPU cores, the twin's second stage included. Expect
a recall@10 of .0414 ± .0012 (three seeds), beside .0428 ± .0014 after the first
stage: on so small a log the second does not pay. docs/results.md says more.
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
  config.evals.sweep = ("is_click", "long_view")
  return config
