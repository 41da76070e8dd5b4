"""The typed configuration of a run, and what makes one valid."""

import dataclasses

OBJECTIVES = ("next_item", "windowed", "session", "multi_token", "dense")
ONE_TARGET = ("next_item", "dense")  # objectives whose queries meet one item
BACKBONES = ("transformer", "hstu", "pooled")


@dataclasses.dataclass(slots=True)
class Own:
  """What the columns of a log of your own mean; see docs/data.md."""

  actions: str = ""  # what can be aimed at: "click,save"
  signals: str = ""  # what is read and never aimed at: "hide"
  shown: str = "impression"  # actions that mean shown only, as no action does
  user: str = "user"  # a column's name, as the next ones
  item: str = "item"
  time: str = "time"  # empty: the rows are in order, without times
  action: str = "action"  # holds a name; empty: each action has a column
  surface: str = "surface"
  session: str = "session"  # empty or absent: told by data.session_gap
  item_type: str = "item_type"  # of the items, as the rest
  numbers: str = ""  # columns that are numbers: "price,year"
  vector: str = ""  # column of content vectors
  text: str = ""  # column of texts, for `embed`
  embed: str = ""  # "module:function" from texts to vectors; empty: not read
  ignore: str = ""  # columns to leave out; the others are categories
  separator: str = "|"  # between several values of a category
  slots: int = 5  # how many of them are kept
  # Times such as 2022-05-01 or unix seconds; empty: each user's last are held
  # out.
  validation_from: str = ""
  test_from: str = ""


@dataclasses.dataclass(slots=True)
class Synthetic:
  """The size of a made-up world, for data.name "synthetic"."""

  users: int = 2000
  items: int = 1000
  topics: int = 20
  events: int = 60  # a user is shown
  gap: int = 3600  # seconds between two of them, on average
  seed: int = 0


@dataclasses.dataclass(slots=True)
class Data:
  """Which log is read and how histories are cut from it."""

  name: str = "kuairand/mini"  # TFDS name: builder/config
  # Folder of the raw files; empty: the embedded excerpt, or a download.
  source: str = ""
  prepared: str = "~/.cache/pinrec_jax"  # where prepared data sets are kept
  # Of data.name "own_log": files of events and of items, and the share of bad
  # rows above which to give up.
  events: str = ""  # a file, a folder or a pattern
  items: str = ""  # likewise; empty: items are their ids alone
  max_bad: float = 0.01
  own: Own = dataclasses.field(default_factory=Own)
  synthetic: Synthetic = dataclasses.field(default_factory=Synthetic)
  vectors: str = ""  # .npz of content vectors by item id; empty: none
  inputs: str = "engagements"  # or "exposures": shown-only events are read too
  # What is predicted, in training and evaluation; histories stay whole. Empty:
  # engagements at any surface, and with any outcome.
  surface: str = ""
  outcomes: str = ""  # "click,save"
  length: int = 64  # events in a row of a batch, and in the longest history
  # Seconds without an engagement that end a session, where the log tells none.
  session_gap: int = 1800
  workers: int = 0  # Grain processes; 0 reads in threads


@dataclasses.dataclass(slots=True, unsafe_hash=True)
class Model:
  """Sizes and switches of the network."""

  backbone: str = "transformer"  # or "hstu", or "pooled": a two-tower's mean
  width: int = 64  # of the backbone
  layers: int = 2
  heads: int = 2
  dim: int = 64  # of the item space
  dropout: float = 0.2
  hashes: int = 2  # hash functions, each into a table of its own
  rows: int = 8192  # per table
  # How often an id is hidden in training, so that content alone can stand for
  # an item. Above 0, items never engaged with are read by content alone.
  id_dropout: float = 0.0
  content: bool = True  # read the items' features beside their ids
  towers: bool = False  # an embedder for each item type
  actions: bool = True  # read what the user did, not only with which item
  context: bool = True  # read where and when, too
  # Item vectors are read as numbers of about 1 each (arXiv 1808.09781). As unit
  # vectors they are small beside the encodings of time, and what follows what
  # is learned late or never; where order matters little that spares a small log
  # from being learned by heart.
  scaled: bool = True
  # Positions are counted from a history's "start", or from its "end" as where
  # rows are padded on the left: the last event then always has the same one.
  positions: str = "start"
  conditioned: bool = True  # False: PinRec-UC, no outcome, surface or offset
  # Edges of the offset buckets, seconds; empty: fitted to the log's gaps.
  offsets: tuple[int, ...] = (60, 3600, 86400)
  fit_offsets: int = 3  # how many are fitted
  # Edges, seconds, of how long before the end of training a target lies.
  ages: tuple[int, ...] = (86400, 2 * 86400, 4 * 86400)
  dtype: str = "float32"  # of activations; "bfloat16" on accelerators


@dataclasses.dataclass(slots=True, unsafe_hash=True)
class Loss:
  """What is predicted, against what, and how conditions are shown."""

  # Which later engagements a position may meet: the next one; all within
  # `window` ("windowed"); the rest of its session ("session"); those in each
  # bucket of time ahead, one query a bucket ("multi_token"); or one drawn from
  # the window ("dense", PinnerFormer's).
  objective: str = "next_item"
  relax: str = "min"  # or "softmin", "mean": over what a query may meet
  softness: float = 0.5  # of "softmin", nats
  window: int = 86400  # seconds
  in_batch: int = 768  # negatives drawn from the batch's own targets
  uniform: int = 256  # negatives drawn from the whole catalogue
  impressions: int = 0  # negatives drawn from what was shown in vain
  logq: str = "corrected"  # or "classic": the positive too; or "none"
  counts: str = "exact"  # or "sketch": count-min, updated in training
  sketch_rows: int = 4
  sketch_columns: int = 16384  # a power of two
  sketch_keep: float = 1.0  # of the counts from step to step; 1: all
  temperature: float = 0.05  # initial value when learned
  learned_temperature: bool = True
  condition_drop: float = 0.2  # how often a condition is left unspecified
  rare_outcomes: float = 0.5  # 0: uniform over a target's actions; 1: 1/share
  chunk: int = 128  # queries scored at once, over all devices
  block: int = 8192  # negatives scored at once


@dataclasses.dataclass(slots=True)
class Train:
  """The optimisation and its bookkeeping."""

  seed: int = 0
  steps: int = 1000
  batch: int = 64  # rows, over all processes
  learning_rate: float = 2e-3
  warmup: int = 50  # steps
  start_from: str = ""  # work folder of the run whose weights to begin with
  refit: bool = False  # train on the validation day too, and keep the last
  weight_decay: float = 0.01
  clip: float = 1.0  # global gradient norm
  model_axis: int = 1  # devices along the mesh's model axis
  eval_every: int = 200  # steps between validations and checkpoints
  eval_users: int = 2000  # users in a validation; 0: all
  log_every: int = 20


@dataclasses.dataclass(slots=True)
class Decode:
  """How many vectors are generated, and what they may spend."""

  budget: str = ""  # "click:0.7,like:0.3"; empty: the training shares
  steps: int = 1
  step_decay: float = 0.5  # budget of a step relative to the one before
  feedback: str = "largest"  # or "sample": which outcome's vector is fed back
  surface: str = ""  # condition; empty: unspecified
  item_type: str = ""  # condition; empty: unspecified
  # Seconds ahead, one vector an outcome for each; empty: unspecified.
  offsets: tuple[int, ...] = ()
  # Seconds before the end of training whose choices are asked for, condition;
  # 0 asks for the latest, -1 leaves it unspecified.
  age: int = 0
  # Cosine above which two vectors become one. Unlike the paper, which merges
  # at about 0.9: here queries 0.98 apart still retrieve other items.
  merge_above: float = 0.99
  truncate: bool = False  # keep only the latest events of a long history
  candidates: int = 100  # in a response


@dataclasses.dataclass(slots=True)
class Index:
  """The nearest-neighbour look-up."""

  kind: str = "auto"  # "scann", "exact"; auto: ScaNN where it is installed
  # What is left out of a user's list: "engagements", what they engaged with
  # before; "exposures", what they were shown too; or "nothing".
  drop_seen: str = "engagements"


@dataclasses.dataclass(slots=True)
class Evals:
  """What is reported."""

  cutoffs: tuple[int, ...] = (10, 50, 100)
  batch: int = 256  # users generated for at once
  twin: bool = True  # train and report the unconditioned twin as well
  sweep: tuple[str, ...] = ("is_click", "long_view", "is_like")
  sweep_users: int = 5000  # over which the budget is turned; 0: all
  examples: int = 3  # users whose history and candidates are printed


@dataclasses.dataclass(slots=True)
class Config:
  """Everything a run depends on, apart from the data itself."""

  data: Data = dataclasses.field(default_factory=Data)
  model: Model = dataclasses.field(default_factory=Model)
  loss: Loss = dataclasses.field(default_factory=Loss)
  train: Train = dataclasses.field(default_factory=Train)
  decode: Decode = dataclasses.field(default_factory=Decode)
  index: Index = dataclasses.field(default_factory=Index)
  evals: Evals = dataclasses.field(default_factory=Evals)


def _require(condition: bool, field: str, value: object, remedy: str) -> None:
  if not condition:
    raise ValueError(f"config.{field} is {value!r}; {remedy}")


def validate(config: Config) -> None:
  """Raises ValueError naming the first field that cannot be."""
  data, model, loss, train = (
    config.data,
    config.model,
    config.loss,
    config.train,
  )
  positive = {
    "model": ("width", "layers", "heads", "dim", "hashes", "rows",
              "fit_offsets"),
    "data": ("length", "session_gap"),
    "loss": ("temperature", "chunk", "block", "softness", "window",
             "sketch_rows"),
    "train": ("steps", "batch", "learning_rate", "clip", "model_axis",
              "eval_every", "log_every"),
    "decode": ("steps", "step_decay", "candidates"),
    "evals": ("batch",),
  }  # fmt: skip
  for section, names in positive.items():
    for name in names:
      value = getattr(getattr(config, section), name)
      _require(value > 0, f"{section}.{name}", value, "use a number above 0")
  choices = {
    "data.inputs": (data.inputs, ("engagements", "exposures")),
    "model.backbone": (model.backbone, BACKBONES),
    "loss.objective": (loss.objective, OBJECTIVES),
    "loss.relax": (loss.relax, ("min", "softmin", "mean")),
    "loss.logq": (loss.logq, ("corrected", "classic", "none")),
    "loss.counts": (loss.counts, ("exact", "sketch")),
    "model.positions": (model.positions, ("start", "end")),
    "model.dtype": (model.dtype, ("float32", "bfloat16")),
    "decode.feedback": (config.decode.feedback, ("largest", "sample")),
    "index.kind": (config.index.kind, ("auto", "scann", "exact")),
    "index.drop_seen": (
      config.index.drop_seen,
      ("engagements", "exposures", "nothing"),
    ),
  }
  for field, (value, known) in choices.items():
    _require(value in known, field, value, f"choose from {', '.join(known)}")
  rates = (
    ("model", "dropout"), ("model", "id_dropout"), ("loss", "condition_drop"),
  )  # fmt: skip
  for section, name in rates:
    value = getattr(getattr(config, section), name)
    _require(0 <= value < 1, f"{section}.{name}", value, "use 0 up to below 1")
  _require(
    0 <= data.max_bad < 1, "data.max_bad", data.max_bad,
    "use a share of the rows, 0 up to below 1",
  )  # fmt: skip
  _require(
    data.name == "own_log" or not data.events + data.items,
    "data.events", data.events or data.items,
    'leave it and data.items out, or set data.name="own_log"',
  )  # fmt: skip
  made = data.synthetic
  for name in ("users", "topics", "events"):
    value = getattr(made, name)
    _require(value > 0, f"data.synthetic.{name}", value, "use one or more")
  _require(
    made.items >= 2 * made.topics, "data.synthetic.items", made.items,
    f"use two or more a topic ({made.topics})",
  )  # fmt: skip
  _require(
    made.gap > 60, "data.synthetic.gap", made.gap, "use more than 60 seconds"
  )
  _require(
    data.own.slots > 0, "data.own.slots", data.own.slots,
    "use a number above 0",
  )  # fmt: skip
  _require(
    model.width % model.heads == 0, "model.width", model.width,
    f"use a multiple of model.heads ({model.heads})",
  )  # fmt: skip
  _require(
    model.dim % model.hashes == 0, "model.dim", model.dim,
    f"use a multiple of model.hashes ({model.hashes})",
  )  # fmt: skip
  _require(
    model.content or not model.id_dropout, "model.id_dropout",
    model.id_dropout, "use 0, or set model.content=True",
  )  # fmt: skip
  for name in ("offsets", "ages"):
    value = getattr(model, name)
    _require(
      sorted(set(value)) == list(value), f"model.{name}", value,
      "list seconds, increasing, or none",
    )  # fmt: skip
  for name in ("in_batch", "uniform", "impressions"):
    value = getattr(loss, name)
    _require(value >= 0, f"loss.{name}", value, "use 0 or more")
  _require(
    0 < loss.sketch_keep <= 1, "loss.sketch_keep", loss.sketch_keep,
    "use a number above 0 and up to 1",
  )  # fmt: skip
  _require(
    loss.in_batch + loss.uniform + loss.impressions > 0,
    "loss.uniform", loss.uniform,
    "draw at least one negative, here or by loss.in_batch",
  )  # fmt: skip
  columns = loss.sketch_columns
  _require(
    columns > 1 and columns & (columns - 1) == 0,
    "loss.sketch_columns", columns, "use a power of two",
  )  # fmt: skip
  _require(
    config.decode.steps < data.length, "decode.steps", config.decode.steps,
    f"use a number above 0 and below data.length ({data.length})",
  )  # fmt: skip
  for name in ("surface", "item_type", "offsets"):
    value = getattr(config.decode, name)
    _require(
      model.conditioned or not value, f"decode.{name}", value,
      "leave it out, or train with model.conditioned=True",
    )  # fmt: skip
  _require(
    all(seconds >= 0 for seconds in config.decode.offsets),
    "decode.offsets", config.decode.offsets, "list seconds, 0 or more",
  )  # fmt: skip
  _require(
    config.decode.age >= -1, "decode.age", config.decode.age,
    "use seconds, 0 or more, or -1 for any",
  )  # fmt: skip
  _require(
    train.warmup < train.steps, "train.warmup", train.warmup,
    f"use fewer than train.steps ({train.steps})",
  )  # fmt: skip
  _require(
    bool(config.evals.cutoffs)
    and list(config.evals.cutoffs) == sorted(config.evals.cutoffs),
    "evals.cutoffs", config.evals.cutoffs, "list increasing list sizes",
  )  # fmt: skip
