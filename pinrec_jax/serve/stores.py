"""What keeps users' events and changed items, and how it can fail."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

PAGE = 256  # Changes that are read together.


class StoreError(Exception):
  """The store cannot do what was asked; its message names the remedy."""


class ReadOnlyError(StoreError):
  """The store can be read, but nothing can be written."""


class Stored(NamedTuple):
  """What is stored of a user.

  Attributes:
    events: oldest first.
    forgotten: whether the user was deleted. Then the events of the bundle are
      not read either.
  """

  events: list[bytes]
  forgotten: bool = False


class Change(NamedTuple):
  """The latest state of a changed item, as it is stored.

  Attributes:
    number: rises with every change, of any server.
    item: the item's id, as text.
    state: opaque bytes.
  """

  number: int
  item: str
  state: bytes


@runtime_checkable
class Store(Protocol):
  """A durable store of users' events and of changed items.

  A call that writes returns once its data survive a crash of the process and
  of the machine. Events and items are opaque bytes here.
  """

  async def append(self, user: str, events: Sequence[bytes]) -> int:
    """Adds a user's events and returns how many the user has now.

    Only the latest events of a user are kept.

    Raises:
      StoreError: if they cannot be written.
    """
    ...

  async def read(self, user: str) -> Stored:
    """Returns a user's events.

    Raises:
      StoreError: if they cannot be read.
    """
    ...

  async def delete(self, user: str) -> int:
    """Deletes a user's events for good and returns how many there were.

    Raises:
      StoreError: if they cannot be deleted.
    """
    ...

  async def put_items(self, states: Sequence[tuple[str, bytes]]) -> None:
    """Stores the states of changed items, in order, in place of older ones.

    Raises:
      StoreError: if it cannot be written.
    """
    ...

  async def changes(self, after: int) -> list[Change]:
    """Returns the oldest changes after a number, at most `PAGE`.

    A state that a newer change has replaced is left out. A change that was
    stored before the call is in the list, or after its end.

    Raises:
      StoreError: if they cannot be read.
    """
    ...

  @property
  def shared(self) -> bool:
    """Whether other servers may change items, too."""
    ...

  @property
  def writable(self) -> bool:
    """Whether the last write succeeded."""
    ...

  async def close(self) -> None:
    """Finishes all writes."""
    ...
