"""The synthetic world: a log of any size whose best answers are known.

Items have a topic, a popularity within it, a probability of being clicked and
one of being saved. The next item that a user is shown depends only on the topic
that the user last engaged with. So the probability of every next engagement,
with or without an outcome, is known.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from jaxtyping import Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import records, row_errors, tfds_builder

OUTCOMES = ("click", "save")
SEED = 0
GAP = 3600  # Mean seconds between two events of a user.
START = 1_700_000_000  # Unix seconds.
STAY, NEXT = 0.3, 0.5  # Probabilities of the same topic and of the next one.
LIKED, OTHER = 0.8, 0.1  # Probabilities of an item's own outcome and the other.
USERS = 4096  # Users that are generated at once.
SPLIT = 1 << 23  # Target number of events that are prepared in one piece.


class Size(NamedTuple):
  """Size of a world, apart from its users.

  Attributes:
    items: number of items; two or more per topic.
    topics: number of item topics.
    events: number of events that each user is shown.
  """

  items: int = 1000
  topics: int = 20
  events: int = 60


SIZE = Size()  # Of the log "synthetic".


@dataclasses.dataclass(frozen=True)
class World:
  """The probabilities of the synthetic world; item j is row j.

  Attributes:
    topic: topic of each item.
    share: fraction of its topic's exposures that an item gets.
    outcome: probability of each outcome if the item is shown.
    moves: probability of the next topic, by the topic before.
  """

  topic: Int[np.ndarray, "v"]
  share: Float[np.ndarray, "v"]
  outcome: Float[np.ndarray, "o v"]
  moves: Float[np.ndarray, "_ _"]

  def chances(
    self, topic: int, outcome: int | None = None
  ) -> Float[np.ndarray, "v"]:
    """Returns the probability of each item to be the next engagement.

    Args:
      topic: of the last engagement.
      outcome: that the next engagement has; None is any.
    """
    shown = self.moves[topic][self.topic] * self.share
    wanted = 1 - np.prod(1 - self.outcome, axis=0)
    if outcome is not None:
      wanted = self.outcome[outcome]
    return shown * wanted / np.sum(shown * wanted)


def world(size: Size = SIZE) -> World:
  """Returns the world of a size."""
  item = np.arange(size.items)
  topic, rank = item % size.topics, item // size.topics
  share = 1 / (1.0 + rank)
  share /= np.bincount(topic, share)[topic]
  # The items of a topic are alternately clicked and saved.
  clicked = np.where(rank % 2 == 0, LIKED, OTHER)
  moves = np.full((size.topics, size.topics), (1 - STAY - NEXT))
  moves /= size.topics
  every = np.arange(size.topics)
  moves[every, every] += STAY
  moves[every, (every + 1) % size.topics] += NEXT
  outcome = np.stack([clicked, LIKED + OTHER - clicked])
  return World(topic, share, outcome, moves)


def _drawn(
  rng: np.random.Generator, chances: Float[np.ndarray, "_ _"]
) -> Int[np.ndarray, "_"]:
  """Draws a column of each row of probabilities."""
  bound = np.cumsum(chances, -1)
  return np.sum(rng.random((len(bound), 1)) > bound / bound[:, -1:], -1)


def logs(users: range, size: Size = SIZE) -> Iterator[pd.DataFrame]:
  """Yields the log, some users at a time. A user depends on the seed alone.

  Args:
    users: the users whose log it is, from a multiple of USERS.
    size: of the world.
  """
  known = world(size)
  per_topic = [np.flatnonzero(known.topic == t) for t in range(size.topics)]
  for first in users[::USERS]:
    rng = np.random.default_rng([SEED, first])
    some = np.arange(first, min(first + USERS, users.stop))
    topic = rng.integers(size.topics, size=len(some))
    time = START + rng.integers(86_400, size=len(some))
    parts = []
    for _ in range(size.events):
      shown = _drawn(rng, known.moves[topic])
      item = np.zeros_like(some)
      for t, own in enumerate(per_topic):
        here = shown == t
        item[here] = rng.choice(own, here.sum(), p=known.share[own])
      acted = rng.random((2, len(some))) < known.outcome[:, item]
      time = time + rng.integers(60, 2 * GAP - 60, size=len(some))
      parts.append([some, item, time, *acted])
      topic = np.where(acted.any(0), known.topic[item], topic)
    columns = ("user", "item", "time", *OUTCOMES)
    log = pd.DataFrame(
      {
        name: np.stack(values, 1).reshape(-1)
        for name, values in zip(columns, zip(*parts, strict=True), strict=True)
      }
    )
    engaged = log[list(OUTCOMES)].any(axis=1)
    yield log.assign(surface=0, engaged=engaged)


class Synthetic(tfds_builder.Builder):
  """The synthetic world as a log; each user's last engagement is the test."""

  VERSION = tfds.core.Version("1.0.0")
  ACTIONS = OUTCOMES
  ORIGIN = "no files"
  ABOUT = {"description": "A log whose best answers are known."}

  @classmethod
  def contents(cls, data: config_lib.Data) -> list:
    """Returns what the world depends on."""
    return [data.synthetic_users, SIZE]

  def raw(self) -> tfds_builder.Raw:
    """Generates the world."""
    items = pd.DataFrame({"item": np.arange(SIZE.items), "item_type": "item"})
    every = range(self.data.synthetic_users)
    piece = USERS * max(1, SPLIT // (USERS * SIZE.events))
    return tfds_builder.Raw(
      [logs(every[n : n + piece], SIZE) for n in every[::piece]],
      items,
      items["item"].to_numpy(),
      {
        "outcomes": len(OUTCOMES),
        "surfaces": ("unknown",),
        "gaps": records.gaps(next(logs(every, SIZE))),
      },
      row_errors.RowErrors(len(every) * SIZE.events),
    )
