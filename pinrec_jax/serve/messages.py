"""The JSON of the server's calls, beside requests and answers."""

from typing import Any

import msgspec

from pinrec_jax.inference import wire

Id = wire.Id


class Many(msgspec.Struct, forbid_unknown_fields=True):
  """Several requests in one call.

  Attributes:
    requests: each is answered on its own.
  """

  requests: list[wire.RequestFields]


class Answers(msgspec.Struct):
  """The answers to several requests, in order.

  Attributes:
    answers: candidates, or an error of its own, for each request.
  """

  answers: list[Any]


class NewEvents(msgspec.Struct, forbid_unknown_fields=True):
  """Events of a user to be stored.

  Attributes:
    events: oldest first. An event without a time gets the time of the call.
  """

  events: list[wire.EventFields]


class Stored(msgspec.Struct):
  """What is stored of a user after a call.

  Attributes:
    user: the user's id.
    stored: events that the call added or deleted.
    total: events that are stored now.
  """

  user: str
  stored: int
  total: int


class About(msgspec.Struct):
  """What people can read of an item.

  Attributes:
    title: its title; "" if it has none.
    features: categorical features by name.
  """

  title: str
  features: dict[str, list[str]]


class History(msgspec.Struct):
  """The history of a user.

  Attributes:
    user: the user's id.
    events: those of the bundle's log and those stored since, merged.
    stored: number of events that were stored since.
    items: titles and features of the items, by id.
  """

  user: str
  events: list[dict[str, Any]]
  stored: int
  items: dict[str, About]


class NewItem(msgspec.Struct, forbid_unknown_fields=True):
  """An item to be added or replaced.

  Attributes:
    item_type: name of its type; by default the first one.
    features: categorical features by name.
    vector: its vector in the space of the model; by default the model computes
      it from the id and the features.
    title: what people read instead of the id. The model does not read it.
  """

  item_type: str | None = None
  features: dict[str, Id | list[Id]] | None = None
  vector: list[float] | None = None
  title: str = ""


class Item(msgspec.Struct):
  """One item.

  Attributes:
    item: the item's id.
    title: its title; "" if it has none.
    item_type: name of its type.
    features: categorical features by name.
    added: whether it was added or replaced since the bundle was written.
  """

  item: Id
  title: str
  item_type: str
  features: dict[str, list[str]]
  added: bool


class Items(msgspec.Struct):
  """A page of items.

  Attributes:
    items: the page.
    total: number of items that match.
    next: value of `after` for the next page; None at the end.
  """

  items: list[Item]
  total: int
  next: int | None


class Changed(msgspec.Struct):
  """An item change that is durable and searchable.

  Attributes:
    item: the item's id.
    items: number of items that can be recommended now.
    index: version of the live index.
  """

  item: str
  items: int
  index: int


class Swap(msgspec.Struct, forbid_unknown_fields=True):
  """The bundle to serve from now on.

  Attributes:
    version: its version; by default the current one of the folder.
  """

  version: str | None = None


class Served(msgspec.Struct):
  """What is served.

  Attributes:
    version: version of the bundle.
    model_step: step of its checkpoint.
    index: version of the live index.
    items: number of items that can be recommended.
    versions: all bundles of the folder.
    previous: version that was served before; None at first.
  """

  version: str
  model_step: int
  index: int
  items: int
  versions: list[str]
  previous: str | None = None


class Error(msgspec.Struct):
  """Why a call failed.

  Attributes:
    error: a sentence with the remedy.
  """

  error: str
