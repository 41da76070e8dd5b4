"""The sections of the configuration that say which log is read, and how."""

import dataclasses
from typing import Literal

from pinrec_jax.validation import (
  Fraction,
  LocalPath,
  NonNegativeInt,
  PositiveInt,
  Section,
  section,
)


@section
class Custom(Section):
  """How the files of a custom log are read; see docs/custom_log.md."""

  # Actions that can be predicted and budgeted, such as "click,save". Empty: all
  # actions of the log, the most frequent first.
  actions: str = ""
  # Actions that are read as input and never predicted, such as "hide".
  signals: str = ""
  # Action names that mean "shown only". An empty action means the same.
  shown_actions: str = "impression"
  user: str = "user"  # Column of user ids.
  item: str = "item"  # Column of item ids, in the events and in the item table.
  # Column of times. Empty: the rows are in order and have no times.
  time: str = "time"
  # Unit of numeric times. "auto" is seconds, milli-, micro- or nanoseconds
  # since 1970, by their size, or dates such as 20231114. Use another unit if
  # the times count from the start of the log.
  time_unit: Literal["auto", "seconds", "minutes", "hours", "days"] = "auto"
  # Column of action names. Empty: every action has a true/false column, or all
  # rows are the same action.
  action: str = "action"
  surface: str = "surface"  # Column of surfaces; it may be absent.
  # Column of session ids; it may be absent. Then data.session_gap decides.
  session: str = "session"
  # Columns of the events that describe the item, such as "category,price".
  item_columns: str = ""
  item_type: str = "item_type"  # Column of the item table; it may be absent.
  # Types of item columns, such as "price:number,photo:vector,story:text,
  # note:ignore". All other columns are categories; "*:ignore" ignores them. A
  # "headline:title" is read by people and not by the model; without it, this is
  # the column "title" or "name", if there is one.
  column_types: str = ""
  # "module:function" that turns a list of texts into an array of vectors.
  text_embedder: str = ""
  # Names of the columns of .csv and .tsv event files without a header line,
  # such as "user,item,time".
  header: str = ""
  # Start of the validation period: a date such as 2022-05-01, or a number as in
  # the log. Empty: the last engagements of each user are held out instead.
  validation_from: str = ""
  # Start of the test period, as a date or a number. Empty: as above.
  test_from: str = ""


@section
class Data(Section):
  """Which log is read and how it is cut into histories and targets."""

  name: str = "kuairand/mini"  # Name of the log: builder/variant.
  # Folder of the raw files of a published log. Empty: the embedded excerpt, or
  # a download.
  source: LocalPath = ""
  # Folder of prepared logs, or its address in a bucket.
  prepared_dir: str = "~/.cache/pinrec_jax"
  # Event files of a custom log: a file, a folder or a pattern.
  events: LocalPath = ""
  # Item tables of a custom log: a file, a folder or a pattern. Empty: items
  # have ids and the features of data.custom.item_columns.
  items: LocalPath = ""
  # Preparation fails if a larger fraction of the rows is bad.
  max_bad_fraction: Fraction = 0.01
  # Apache Beam options for preparing a custom log, such as "--runner=...".
  # Every worker must see the same files. Empty: this process prepares the log.
  beam_options: str = ""
  custom: Custom = dataclasses.field(default_factory=Custom)
  # Users of the synthetic world, for data.name "synthetic".
  synthetic_users: PositiveInt = 2000
  # .npz file of content vectors: arrays `ids` and `vectors`. Empty: none.
  item_vectors: LocalPath = ""
  # Events that the model reads. "exposures" adds events that were shown only.
  history_events: Literal["engagements", "exposures"] = "engagements"
  # Predict engagements on this surface only. Empty: on every surface.
  target_surface: str = ""
  # Predict engagements with these outcomes only, such as "click,save". Empty:
  # with any outcome.
  target_outcomes: str = ""
  # Move a time split back by this many days, and drop the events of the test
  # period. Use it to choose settings without looking at the test period.
  split_shift_days: NonNegativeInt = 0
  # Engagements of each user in the test, and in the validation before it, if
  # the log is not split by time.
  held_out_events: PositiveInt = 1
  # Positions in a training row, and in a history with its generated vectors.
  # The start token takes one, and each decode step but the last takes one.
  sequence_length: PositiveInt = 64
  # Events more than this many seconds apart start a new session, unless the
  # log has session ids.
  session_gap: PositiveInt = 1800
  num_workers: NonNegativeInt = 0  # Grain worker processes; 0 uses threads.
