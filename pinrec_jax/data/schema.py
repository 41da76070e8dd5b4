"""Vocabulary, items and events of a log, and the batches made of them."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped, UInt8, UInt32

from pinrec_jax.types import AnyArray

UNKNOWN_TIME = 0  # Seconds, of an event whose order alone is known.
UNKNOWN_SESSION = -1  # The gaps between events decide instead.
NO_ITEM = 0  # Row of the item table that stands for no item.


def names(text: str) -> list[str]:
  """Returns the names of a list such as "click, save"."""
  return [name.strip() for name in text.split(",") if name.strip()]


@dataclasses.dataclass(frozen=True)
class Feature:
  """A categorical item feature; several slots share one vocabulary."""

  name: str
  size: int  # Number of values, the missing one (0) included.
  slots: int = 1


@dataclasses.dataclass(frozen=True)
class Vocabulary:
  """The names behind every small integer of a log.

  Attributes:
    actions: names of the actions.
    outcomes: number of actions that can be predicted. They come first. The
      other actions, such as a dislike, are read as input only.
    surfaces: names of the surfaces; the first one means unknown.
    item_types: names of the item types.
    features: the categorical features of an item.
    dense: number of an item's dense features.
    validation_from: unix second at which the validation starts. If it is 0, the
      test has each user's last engagements, and the validation those before.
    test_from: unix second at which the test period starts, or 0.
    held_out: number of engagements of each user in the test, without a time.
    gaps: percentiles 1 to 99 of the seconds between engagements in training;
      empty if the log has no times.
  """

  actions: tuple[str, ...]
  outcomes: int
  surfaces: tuple[str, ...]
  item_types: tuple[str, ...]
  features: tuple[Feature, ...]
  dense: int
  validation_from: int = 0
  test_from: int = 0
  held_out: int = 1
  gaps: tuple[int, ...] = ()

  @classmethod
  def of(cls, fields: Mapping[str, Any]) -> "Vocabulary":
    """Rebuilds a vocabulary from the values of a JSON file."""
    found = {
      name: tuple(value) if isinstance(value, list) else value
      for name, value in fields.items()
    }
    features = tuple(Feature(**feature) for feature in fields["features"])
    return cls(**{**found, "features": features})

  def gap_edges(self, edges: int) -> tuple[int, ...]:
    """Returns times, in seconds, that split the gaps into equal parts.

    Raises:
      ValueError: if the log has fewer different gaps than edges.
    """
    places = [round(100 * (n + 1) / (edges + 1)) - 1 for n in range(edges)]
    found = sorted({max(self.gaps[place], 1) for place in places if self.gaps})
    if len(found) < edges:
      raise ValueError(
        f"config.model.offset_edges is empty, and the log has {len(found)} "
        f"different gaps for {edges} edges; list edges, as 60,3600,86400"
      )
    return tuple(found)

  def aim(self, surface: str, outcomes: str) -> "Aim":
    """Returns which engagements are predicted; an empty name means any.

    Raises:
      ValueError: if the log has no such surface or outcome.
    """
    return Aim(
      self.surface(surface) if surface else None,
      tuple(self.outcome(name) for name in names(outcomes)),
    )

  @property
  def outcome_names(self) -> tuple[str, ...]:
    """The actions that can be predicted."""
    return self.actions[: self.outcomes]

  def outcome(self, name: str) -> int:
    """Returns an outcome's index; the error lists the known names."""
    return _index(name, self.outcome_names, "outcome")

  def action(self, name: str) -> int:
    """Returns an action's index; the error lists the known names."""
    return _index(name, self.actions, "action")

  def surface(self, name: str) -> int:
    """Returns a surface's index; the error lists the known names."""
    return _index(name, self.surfaces, "surface")

  def item_type(self, name: str) -> int:
    """Returns an item type's index; the error lists the known names."""
    return _index(name, self.item_types, "item type")


def _index(name: str, known: tuple[str, ...], what: str) -> int:
  if name not in known:
    raise ValueError(
      f"unknown {what} {name!r}; this data set has {', '.join(known)}"
    )
  return known.index(name)


def _of(dtype: Any, missing: int = 0, compact: Any = None) -> dict[str, Any]:
  """Metadata of a column: type, missing value, type on disk and in `Tokens`."""
  return {"dtype": dtype, "missing": missing, "compact": compact or dtype}


@dataclasses.dataclass(frozen=True)
class Events:
  """One user's events, oldest first; every array has one entry per event.

  A column that is added here is stored and batched. A builder puts it into its
  table of events. A custom log reads it from a column of numbers with its name.
  If `Tokens` has a field of the same name, the model gets it, too.

  Attributes:
    item: row of the item table.
    actions: multi-hot vector of actions.
    surface: index of the surface; 0 is unknown.
    item_type: index of the item type.
    time: unix seconds, or UNKNOWN_TIME.
    session: session number of the log, or UNKNOWN_SESSION.
    engaged: whether the event is an engagement and can be a target. Otherwise
      it was shown only, or it is context.
    context: whether it is the context of a request, which is never predicted.
  """

  item: Int[np.ndarray, "l"] = dataclasses.field(metadata=_of(np.int32))
  actions: UInt8[np.ndarray, "l a"] = dataclasses.field(metadata=_of(np.uint8))
  surface: Int[np.ndarray, "l"] = dataclasses.field(metadata=_of(np.int32))
  item_type: Int[np.ndarray, "l"] = dataclasses.field(metadata=_of(np.int32))
  time: Int[np.ndarray, "l"] = dataclasses.field(
    metadata=_of(np.int64, UNKNOWN_TIME, compact=np.uint32)
  )
  session: Int[np.ndarray, "l"] = dataclasses.field(
    metadata=_of(np.int32, UNKNOWN_SESSION)
  )
  engaged: Bool[np.ndarray, "l"] = dataclasses.field(metadata=_of(np.bool_))
  context: Bool[np.ndarray, "l"] = dataclasses.field(metadata=_of(np.bool_))

  def where(self, keep: Shaped[np.ndarray, "_"] | slice) -> "Events":
    """Returns the events that a mask, places or a slice select."""
    return Events(**{name: column[keep] for name, column in vars(self).items()})

  def seen(self, kind: str) -> Int[np.ndarray, "_"]:
    """Returns the items that a list leaves out, as `index.filter_seen` says."""
    left_out = {
      "nothing": np.zeros(len(self), bool),
      "engagements": self.engaged,
      "exposures": ~self.context,
    }
    return self.item[left_out[kind]]

  def __len__(self) -> int:
    return len(self.item)


COLUMNS = {field.name: field.metadata for field in dataclasses.fields(Events)}
# Columns that a builder derives. A log has all others as they are.
DERIVED = ("item", "actions", "item_type", "engaged")


class Tokens(NamedTuple):
  """What the model reads at each position of one history or several.

  A user's first token has no item; it predicts for a user without events.

  Attributes:
    item: row of the item table; 0 means none.
    actions: multi-hot vector of actions.
    surface: index of the surface; 0 is unknown.
    time: unix seconds, or UNKNOWN_TIME.
    gap: seconds since the token before; -1 is unknown.
    position: place in the user's history, from 0.
    after: number of tokens of the history that follow.
    segment: number of the user in the row, from 1; 0 is padding.
  """

  item: Int[AnyArray, "*b l"]
  actions: UInt8[AnyArray, "*b l a"]
  surface: Int[AnyArray, "*b l"]
  time: UInt32[AnyArray, "*b l"]
  gap: Int[AnyArray, "*b l"]
  position: Int[AnyArray, "*b l"]
  after: Int[AnyArray, "*b l"]
  segment: Int[AnyArray, "*b l"]


def empty_tokens(batch: int, length: int, actions: int) -> Tokens:
  """Returns tokens of zeros; only their shapes and types matter."""
  number = np.zeros((batch, length), np.int32)
  columns: dict[str, Any] = dict.fromkeys(Tokens._fields, number)
  columns["time"] = number.astype(np.uint32)
  columns["actions"] = np.zeros((batch, length, actions), np.uint8)
  return Tokens(**columns)


class Targets(NamedTuple):
  """The engagement that follows each position.

  Attributes:
    item: row of the item table; 0 is no target.
    outcomes: multi-hot vector of outcomes.
    surface: index of the surface; 0 is unknown.
    item_type: index of the item type.
    time: unix seconds, or UNKNOWN_TIME.
    age: seconds from the target to the end of training; -1 is unknown.
    session: session number within the user's history.
    shown: an impression-only item before the target; 0 is none.
    new: whether the position before has another target.
  """

  item: Int[AnyArray, "*b l"]
  outcomes: UInt8[AnyArray, "*b l o"]
  surface: Int[AnyArray, "*b l"]
  item_type: Int[AnyArray, "*b l"]
  time: UInt32[AnyArray, "*b l"]
  age: Int[AnyArray, "*b l"]
  session: Int[AnyArray, "*b l"]
  shown: Int[AnyArray, "*b l"]
  new: Bool[AnyArray, "*b l"]


class Batch(NamedTuple):
  """Rows of packed histories and their targets."""

  tokens: Tokens
  targets: Targets


@dataclasses.dataclass(frozen=True)
class Aim:
  """Which engagements are predicted; the default is all.

  Attributes:
    surface: index of the surface that they are on; None is any.
    outcomes: indices of outcomes that they may have; empty is all.
  """

  surface: int | None = None
  outcomes: tuple[int, ...] = ()

  def aimed(self, outcomes: int) -> Bool[np.ndarray, "o"]:
    """Returns which of a log's outcomes are predicted."""
    return np.isin(range(outcomes), self.outcomes or range(outcomes))

  def met(self, events: Events) -> Bool[np.ndarray, "l"]:
    """Returns which events are predicted."""
    chosen = events.engaged
    if self.surface is not None:
      chosen = chosen & (events.surface == self.surface)
    if self.outcomes:
      chosen = chosen & events.actions[:, list(self.outcomes)].any(-1)
    return chosen


EVERYTHING = Aim()


class Items(NamedTuple):
  """The item table; row 0 stands for no item.

  Attributes:
    ids: the ids of the log, integers or texts.
    item_type: index of the item type.
    categorical: codes of the categorical features; 0 is missing.
    dense: numbers.
    candidate: whether the item may be recommended.
  """

  ids: Shaped[np.ndarray, "v"]
  item_type: Int[np.ndarray, "v"]
  categorical: Int[np.ndarray, "v g"]
  dense: Float32[np.ndarray, "v f"]
  candidate: Bool[np.ndarray, "v"]
