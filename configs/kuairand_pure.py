"""PinRec-OC and its unconditioned twin on KuaiRand-Pure.

Source: log_standard_4_25_to_5_08_pure.parquet,
user_history_4_09_to_4_24_last50.parquet and video_features_basic_pure.csv, in
FOLDER.

  bash launch/local.sh --config=configs/kuairand_pure.py \
    --config.data.source=FOLDER --workdir=runs/pure

With configs/kuairand_pure.py:pooled, the model reads the mean of a history in
place of its order. Half of the histories have at most 14 engagements, and the
mean finds more here.

Time: 10 minutes on one core of a shared x86-64 machine, with the twin. Expect
recall@10 of about .081 for OC, .074 for UC and .041 for popularity
(results/kuairand_pure.json has three seeds). The figures of the mean are in
results/kuairand_pure_pooled.json.

Settings were chosen with --config.data.split_shift_days=4, which moves the
split back by four days and never reads the test period.
"""

from pinrec_jax import config as config_lib


def get_config(backbone: str = "transformer") -> config_lib.Config:
  """Returns the configuration of KuaiRand-Pure, for one of two backbones."""
  if backbone not in ("transformer", "pooled"):
    raise ValueError(
      f"backbone {backbone!r} is unknown; choose transformer or pooled"
    )
  config = config_lib.Config()
  config.model.backbone = backbone
  if backbone == "pooled":
    # The validation chose it: recall@10 was .097, and .092 for a transformer
    # (OC, positions from the end). Without conditions, the mean had .089.
    config.model.num_layers = 1
  config.data.name = "kuairand/pure"
  # Some targets come eight days after the end of the history. With the split
  # moved back, a model without times and surfaces had a recall@10 of .081
  # halfway through training, with them .080. 2,000 small steps were better than
  # 1,000 steps of twice the batch size.
  config.model.inputs = ("content",)
  # With vectors of twice the width and the paper's head, all items as negatives
  # had a recall@10 of .089, sampled ones .086. recall@100 was .384 for the
  # condition as an input of the head, and .391 as a shift of the prediction. A
  # shift of the state itself had .393, and a recall@10 of .091.
  config.loss.full_softmax = True
  config.model.head = "state"
  config.train.steps = 2000
  config.train.batch_size = 32
  config.train.eval_every = 500
  # The validation prefers this budget, too. However, the test recall of earlier
  # runs was known when it was chosen.
  config.train.train_on_validation = True
  config.decode.budget = "long_view:0.8,is_click:0.2"
  # Fixed by the protocol: the list has no item that the user engaged with.
  config.index.filter_seen = "engagements"
  return config
