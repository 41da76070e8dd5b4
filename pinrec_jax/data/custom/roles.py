"""Which columns of an event file mean what."""

import dataclasses
import difflib
import pathlib
import re
from collections.abc import Iterable, Sequence

from pinrec_jax import config as config_lib
from pinrec_jax.data import (
  headers,
  readers,
  schema,
  sources,
)

INTERACTION = "interaction"  # The action of a log without actions.
# Columns of `schema.Events` that a custom log has under a configured name, or
# not at all. All others are columns of numbers.
NAMED = (*schema.DERIVED, "surface", "time", "session", "context")
EXTRA = tuple(name for name in schema.COLUMNS if name not in NAMED)
# Usual names of the columns, in lower case and without signs.
USUAL = {
  "user": ("user", "uid", "customer", "visitor", "member", "account",
           "session"),
  "item": ("item", "product", "article", "movie", "video", "track", "aid",
           "sku"),
  "time": ("time", "date", "timestamp", "datetime", "ts", "createdat"),
  "action": ("action", "event", "eventtype", "eventname", "behavior", "type",
             "behaviour", "behaviortype", "interaction", "activity"),
  "title": ("title", "name"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Roles:
  """The columns of one event file.

  Attributes:
    user: column of user ids.
    item: column of item ids.
    time: column of times; "" if there is none.
    action: column of action names; "" if there is none.
    flags: true/false columns, one an action, if there is no such column.
    surface: column of surfaces, or "".
    session: column of session ids, or "".
    extra: columns of numbers that `schema.Events` has by the same name.
    unread: columns that nothing reads.
  """

  user: str
  item: str
  time: str
  action: str
  flags: tuple[str, ...]
  surface: str
  session: str
  extra: tuple[str, ...]
  unread: tuple[str, ...]


def actions(custom: config_lib.Custom) -> tuple[list[str], list[str]]:
  """Returns the configured actions to predict, and all configured actions.

  Raises:
    ValueError: if a name occurs twice.
  """
  outcomes, signals = schema.names(custom.actions), schema.names(custom.signals)
  if len({*outcomes, *signals}) < len(outcomes + signals):
    raise ValueError(
      f"config.data.custom.actions is {custom.actions!r} and signals is "
      f"{custom.signals!r}; name each action once, in one of the two"
    )
  return outcomes, outcomes + signals


def layout(custom: config_lib.Custom) -> headers.Layout:
  """Returns the layout of separated text."""
  return headers.Layout(
    tuple(schema.names(custom.header)), columns=(custom.user, custom.item)
  )


def of_files(
  paths: Sequence[pathlib.Path], custom: config_lib.Custom
) -> list[Roles]:
  """Returns the roles of the columns of each event file.

  Raises:
    ValueError: naming every column that is missing from a file, or is there
      twice, and the names that come closest.
  """
  problems: list[str] = []
  found = []
  for path in paths:
    names = readers.columns(path, layout(custom))
    search = _Search(names, sources.name(path), custom)
    found.append(search.roles())
    problems += search.problems
  if problems:
    raise ValueError("\n".join(dict.fromkeys(problems)))
  return found


def title(names: Iterable[str]) -> str:
  """Returns the first of item columns with a usual name of titles, or ""."""
  by_plain = {_plain(name): name for name in names}
  usual = (by_plain[plain] for plain in USUAL["title"] if plain in by_plain)
  return next(usual, "")


class _Search:
  """The search for the columns of one file, and its problems."""

  def __init__(
    self, names: list[str], file: str, custom: config_lib.Custom
  ) -> None:
    self._names, self._file, self._custom = names, file, custom
    self.problems: list[str] = []

  def roles(self) -> Roles:
    """Returns the roles; they count only if there is no problem."""
    custom = self._custom
    features = schema.names(custom.item_columns)
    action, flags = self._actions()
    found = {
      "user": self._one("user"),
      "item": self._one("item"),
      "time": self._one("time") if custom.time else "",
      "action": action,
      "surface": self._optional("surface"),
      "session": self._optional("session"),
    }
    self._each("item_columns", features)
    for field, names in (("item_columns", features), ("user", [custom.user])):
      twice = len({*names}) < len(names) or names == [custom.item]
      if twice:
        self.problems.append(
          f"config.data.custom.{field} names {names[-1]!r}, which is named "
          "before; name each column once"
        )
    extra = tuple(name for name in EXTRA if name in self._names)
    read = {*found.values(), *flags, *features, *extra}
    for name in read:
      if self._names.count(name) > 1:
        self.problems.append(
          f"{self._file} has the column {name!r} twice; rename one of them"
        )
    # An outer column is read if one of its fields is.
    read |= {name.split(".")[0] for name in read}
    unread = [n for n in self._names if n not in read and n[:2] != "__"]
    unread = [name for name in unread if name.split(".")[0] not in read]
    return Roles(**found, flags=flags, extra=extra, unread=tuple(unread))

  def _one(self, field: str) -> str:
    """Returns a column of users, items or times; a log may have no times."""
    name = getattr(self._custom, field)
    if name in self._names:
      return name
    default = field == "time" and name == config_lib.Custom().time
    if default and not any(_is_usual("time", n) for n in self._names):
      return ""
    remedy = "; leave it empty if the log has no times" * (field == "time")
    self._missing(f"config.data.custom.{field}", name, field, remedy)
    return ""

  def _optional(self, field: str) -> str:
    name = getattr(self._custom, field)
    if name and name not in self._names:
      if name != getattr(config_lib.Custom(), field):
        self._missing(f"config.data.custom.{field}", name, field)
      return ""
    return name

  def _each(self, field: str, names: Iterable[str]) -> None:
    for name in names:
      if name not in self._names:
        self._missing(f"config.data.custom.{field}", name, name)

  def _actions(self) -> tuple[str, tuple[str, ...]]:
    """Returns the column of actions, or one true/false column an action.

    A log with neither has one action.
    """
    custom, known = self._custom, actions(self._custom)[1]
    if custom.action in self._names:
      return custom.action, ()
    default = custom.action in ("", config_lib.Custom().action)
    if default and known and {*known} & {*self._names}:
      self._each("actions", known)
      return "", tuple(known)
    usual = custom.action and any(
      _is_usual("action", name) for name in self._names
    )
    if not default or usual or len(known) > 1:
      remedy = "; leave it empty if every row is the same action"
      self._missing(
        "config.data.custom.action", custom.action, "action", remedy
      )
    return "", ()

  def _missing(self, field: str, name: str, like: str, more: str = "") -> None:
    near = nearest(like, name, self._names)
    hint = f"the nearest is {' or '.join(map(repr, near))}; " if near else ""
    if len(self._names) == 1 and re.search(r"\w\W+\w", self._names[0]):
      known = (*headers.SEPARATORS, *headers.RARE_SEPARATORS)
      hint = f"separate its columns by one of {', '.join(map(repr, known))}; "
    self.problems.append(
      f"{field} names {name!r}, and {self._file} has no such column; {hint}it "
      f"has {', '.join(self._names)}{more}"
    )


def nearest(field: str, name: str, names: Iterable[str]) -> list[str]:
  """Returns the names that come closest to the column of a field."""
  by_plain = {_plain(other): other for other in names}
  close = difflib.get_close_matches(_plain(name), by_plain, n=2, cutoff=0.6)
  usual = [
    plain for plain in by_plain if any(u in plain for u in USUAL.get(field, ()))
  ]
  return [by_plain[plain] for plain in dict.fromkeys(close + usual)][:3]


def _is_usual(field: str, name: str) -> bool:
  plain = _plain(name)
  ends = field == "time" and plain.endswith(("time", "date", "timestamp"))
  return plain in USUAL[field] or ends


def _plain(name: str) -> str:
  return re.sub(r"[^a-z0-9]", "", name.lower())
