"""The typed configuration of a run."""

import dataclasses

from pinrec_jax.fields import (
  above,
  checked,
  increasing,
  least,
  names,
  one_of,
  share,
  sizes,
)  # fmt: skip

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
  item: str = "item"  # what it was done with
  time: str = "time"  # empty: the rows are in order, without times
  action: str = "action"  # holds a name; empty: each action has a column
  surface: str = "surface"  # where; may be absent
  session: str = "session"  # empty or absent: told by data.session_gap
  item_type: str = "item_type"  # of the items, as the rest
  numbers: str = ""  # columns that are numbers: "price,year"
  vector: str = ""  # column of content vectors
  text: str = ""  # column of texts, for `embed`
  embed: str = ""  # "module:function" from texts to vectors; empty: not read
  ignore: str = ""  # columns to leave out; the others are categories
  separator: str = "|"  # between several values of a category
  slots: int = above(0, 5)  # how many of them are kept
  # Times such as 2022-05-01 or unix seconds; empty: each user's last are held
  # out.
  validation_from: str = ""
  test_from: str = ""  # likewise


@dataclasses.dataclass(slots=True)
class Synthetic:
  """The size of a made-up world, for data.name "synthetic"."""

  users: int = above(0, 2000)  # how many
  items: int = 1000  # how many
  topics: int = above(0, 20)  # of the items
  events: int = above(0, 60)  # a user is shown
  gap: int = above(60, 3600)  # seconds between two of them, on average
  seed: int = 0  # of all that is drawn


@dataclasses.dataclass(slots=True)
class Data:
  """Which log is read and how histories are cut from it."""

  name: str = "kuairand/mini"  # TFDS name: builder/config
  # Folder of the raw files; empty: the embedded excerpt, or a download.
  source: str = ""
  prepared: str = "~/.cache/pinrec_jax"  # where prepared data sets are kept
  # Of data.name "own_log", as the next two: the files of events.
  events: str = ""  # a file, a folder or a pattern
  items: str = ""  # likewise; empty: items are their ids alone
  max_bad: float = share(0.01)  # share of bad rows above which to give up
  # Options of the Apache Beam pipeline that prepares it, "--runner=...", where
  # every worker sees the same files; empty: prepared by this process alone.
  beam: str = ""
  own: Own = dataclasses.field(default_factory=Own)
  synthetic: Synthetic = dataclasses.field(default_factory=Synthetic)
  vectors: str = ""  # .npz of content vectors by item id; empty: none
  # Of exposures, shown-only events are read too.
  inputs: str = one_of("engagements", "exposures")
  # What is predicted, in training and evaluation; histories stay whole. Empty:
  # engagements at any surface, and with any outcome.
  surface: str = ""
  outcomes: str = ""  # likewise, such as "click,save"
  # Days by which a split by time is moved back, what comes after left out: to
  # choose settings on, so that the test itself is looked at once.
  days_back: int = least(0, 0)
  # Engagements that the test holds of each user, and the validation before it,
  # where a log is split by each user's last.
  held_out: int = above(0, 1)
  # Share of the items, drawn once, without the events before the test: to
  # measure what is found of items that training never saw.
  withheld: float = share(0.0)
  # Places in a row of a batch, and of a history with what is generated: one is
  # its start's, and each of decode.steps but the last takes one.
  length: int = above(0, 64)
  # More seconds than this between two events that are read end a session, where
  # the log tells none.
  session_gap: int = above(0, 1800)
  workers: int = least(0, 0)  # Grain processes; 0 reads in threads


@dataclasses.dataclass(slots=True, unsafe_hash=True)
class Model:
  """Sizes and switches of the network."""

  # Pooled is a two-tower's mean.
  backbone: str = one_of(*BACKBONES)
  width: int = above(0, 64)  # of the backbone
  layers: int = above(0, 2)  # blocks of the backbone
  heads: int = above(0, 2)  # of a block
  dim: int = above(0, 64)  # of the item space
  dropout: float = share(0.2)  # of the backbone, in training
  hashes: int = above(0, 2)  # hash functions, each into a table of its own
  rows: int = above(0, 8192)  # per table
  # How often an id is hidden in training, so that content alone can stand for
  # an item. Above 0, items never engaged with are read by content alone.
  id_dropout: float = share(0.0)
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
  positions: str = one_of("start", "end")
  conditioned: bool = True  # False: PinRec-UC, no outcome, surface or offset
  # How the head takes a condition: as an input of its "mlp", beside the state
  # (arXiv 2504.10507); or as a "shift" of what it answers, the same for every
  # state, which a small log tells better; or as a shift of the "state", read
  # and answered in the space of items as it is, without a layer of its own on
  # either side (arXiv 1808.09781).
  head: str = one_of("mlp", "shift", "state")
  # Edges of the offset buckets, seconds; empty: fitted to the log's gaps.
  offsets: tuple[int, ...] = increasing(60, 3600, 86400)
  fit_offsets: int = above(0, 3)  # how many are fitted
  # Edges, seconds, of how long before the end of training a target lies.
  ages: tuple[int, ...] = increasing(86400, 2 * 86400, 4 * 86400)
  # What of a block is kept for the backward pass: all; the "products" of
  # matrices; or its "inputs" alone. Less memory, more time, the same result.
  keep: str = one_of("all", "products", "inputs")
  # One block is compiled for all layers, whose parameters lie in one array: a
  # deep backbone compiles as soon as a shallow one.
  stacked: bool = False
  # Of activations; "bfloat16" on accelerators.
  dtype: str = one_of("float32", "bfloat16")


@dataclasses.dataclass(slots=True, unsafe_hash=True)
class Loss:
  """What is predicted, against what, and how conditions are shown."""

  # Which later engagements a position may meet: the next one; all within
  # `window` ("windowed"); the rest of its session ("session"); the next one and
  # by another query those in one drawn bucket of time ahead ("multi_token"); or
  # one drawn from the window ("dense", PinnerFormer's).
  objective: str = one_of(*OBJECTIVES)
  # Over what a query may meet.
  relax: str = one_of("min", "softmin", "mean")
  softness: float = above(0, 0.5)  # of "softmin", nats
  window: int = above(0, 86400)  # seconds
  in_batch: int = least(0, 768)  # negatives drawn from the batch's own targets
  uniform: int = least(0, 256)  # negatives drawn from the whole catalogue
  impressions: int = least(0, 0)  # negatives drawn from what was shown in vain
  full: bool = False  # every item is a negative, and none are drawn
  # The classic one corrects the positive too.
  logq: str = one_of("corrected", "classic", "none")
  # A sketch is count-min, updated in training.
  counts: str = one_of("exact", "sketch")
  sketch_rows: int = above(0, 4)  # hash functions of the sketch
  sketch_columns: int = 16384  # a power of two
  sketch_keep: float = 1.0  # of the counts from step to step; 1: all
  temperature: float = above(0, 0.05)  # initial value when learned
  learned_temperature: bool = True  # False: it stays the initial value
  # How often a condition is left unspecified.
  condition_drop: float = share(0.2)
  # What outcomes count for: 0, each by how many targets have it; 1, all alike.
  rare_outcomes: float = 0.0
  # Queries a device scores at once, a row's at least; 0: as many as suit it.
  chunk: int = least(0, 0)
  block: int = above(0, 8192)  # negatives scored at once


@dataclasses.dataclass(slots=True)
class Train:
  """The optimisation and its bookkeeping."""

  seed: int = 0  # of initial values, data order and draws
  steps: int = above(0, 1000)  # updates
  batch: int = above(0, 64)  # rows of an update, over all processes
  # Parts of the batch that are computed one after the other, so that one of
  # them is in memory at a time; in-batch negatives are those of a part.
  accumulate: int = above(0, 1)
  learning_rate: float = above(0, 2e-3)  # the highest; falls by a cosine
  warmup: int = least(0, 50)  # steps
  start_from: str = ""  # work folder of the run whose weights to begin with
  refit: bool = False  # train on the validation day too, and keep the last
  weight_decay: float = least(0, 0.01)  # of dense kernels alone
  clip: float = above(0, 1.0)  # global gradient norm
  # How hash tables are updated: every row at every step ("adam"); or only those
  # that the step reads, at a cost that does not grow with the table
  # ("lazy_adam"), and with one number a row for moments ("adagrad").
  tables: str = one_of("adam", "lazy_adam", "adagrad")
  # What the devices must be; a run meant for a GPU is not to crawl on a CPU.
  device: str = one_of("any", "cpu", "gpu", "tpu")
  # Devices along the mesh's model axis, which splits tables and wide layers.
  model_axis: int = above(0, 1)
  # Likewise along fsdp, which splits all parameters, their moments and the
  # batch; what devices are left share the batch alone.
  fsdp_axis: int = above(0, 1)
  join_seconds: int = above(0, 600)  # until all processes must be there
  # Folder of programs that were compiled before and need not be again; empty:
  # none, or JAX_COMPILATION_CACHE_DIR.
  compiled: str = "~/.cache/pinrec_jax/compiled"
  eval_every: int = above(0, 200)  # steps between validations and checkpoints
  eval_users: int = least(0, 2000)  # users in a validation; 0: all
  log_every: int = above(0, 20)  # steps between lines of metrics.jsonl
  # Steps that are recorded for TensorBoard's profiler, in WORKDIR/profile, once
  # ten have passed.
  profile: int = least(0, 0)


@dataclasses.dataclass(slots=True)
class Decode:
  """How many vectors are generated, and what they may spend."""

  budget: str = ""  # "click:0.7,like:0.3"; empty: the training shares
  steps: int = above(0, 1)  # vectors one after the other, of each outcome
  # Budget of a step relative to the one before.
  step_decay: float = above(0, 0.5)
  # Which outcome's vector is fed back.
  feedback: str = one_of("largest", "sample")
  surface: str = ""  # condition; empty: unspecified
  item_type: str = ""  # condition; empty: unspecified
  # Seconds ahead, one vector an outcome for each; -1 is the next event whenever
  # it comes, and so is an empty list.
  offsets: tuple[int, ...] = checked(
    (),
    lambda value: all(isinstance(n, int) and n >= -1 for n in value),
    "list whole seconds, 0 or more, or -1 for the next event; none is ()",
  )
  # Seconds before the end of training whose choices are asked for, condition;
  # 0 asks for the latest, -1 leaves it unspecified, as it always is where a log
  # is not split by time.
  age: int = checked(
    0, lambda value: value >= -1, "use seconds, 0 or more, or -1 for any"
  )
  # Cosine above which two vectors become one. Unlike the paper, which merges
  # at about 0.9: here queries 0.98 apart still retrieve other items.
  merge_above: float = 0.99
  truncate: bool = False  # keep only the latest events of a long history
  candidates: int = above(0, 100)  # in a response


@dataclasses.dataclass(slots=True)
class Index:
  """The nearest-neighbour look-up."""

  # "scann", "exact"; auto: ScaNN where it is installed.
  kind: str = one_of("auto", "scann", "exact")
  # Of the exact neighbours, what ScaNN is to find at the least, told by some
  # when the index is built; small catalogues are scanned whole.
  recall: float = share(0.99)
  # What is left out of a user's list: "engagements", what they engaged with
  # before; "exposures", what they were shown too; or "nothing".
  drop_seen: str = one_of("engagements", "exposures", "nothing")


@dataclasses.dataclass(slots=True)
class Evals:
  """What is reported."""

  cutoffs: tuple[int, ...] = sizes(10, 50, 100)  # of lists
  batch: int = above(0, 256)  # users generated for at once
  twin: bool = True  # train and report the unconditioned twin as well
  # Outcomes from one to the next of which the budget is turned; empty: none.
  sweep: tuple[str, ...] = names("is_click", "long_view", "is_like")
  sweep_users: int = least(0, 5000)  # over which the budget is turned; 0: all
  # Also tell what lists find that know their first target's time, as no real
  # request does, to be held against models that are given it.
  told_time: bool = False
  examples: int = least(0, 3)  # users whose history and candidates are printed


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
