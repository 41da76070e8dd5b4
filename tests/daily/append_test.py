"""A prepared log to which the files of later days are appended."""

import os

import numpy as np
import pytest

from pinrec_jax.data import dataset, following, row_errors, store
from pinrec_jax.data.custom import events as events_lib
from pinrec_jax.data.custom import inputs, log

DAY = 86400


def read(folder):
  """Returns the inputs of a prepared custom log."""
  found = inputs.load(folder)
  assert found is not None
  return found


class Growth:
  """Appends what is new and opens the log.

  Attributes:
    folder: of the log after each call.
  """

  def __init__(self, config):
    self._config = config
    self.folder = [dataset.prepare(config.data)]

  def __call__(self):
    self.folder.append(dataset.append(self._config.data, self.folder[-1]))
    return dataset.load(self._config.data)


@pytest.fixture
def grow(shop):
  """Returns the function that appends what is new and opens the log."""
  return Growth(shop.config())


def shown(found):
  """Returns all that a log says of each user, without codes."""
  names = found.vocabulary
  result = {}
  for user, events in zip(found.users, found.events, strict=True):
    columns = zip(
      events.time.tolist(),
      found.items.ids[events.item].tolist(),
      (tuple(row) for row in events.actions.tolist()),
      (names.surfaces[code] for code in events.surface),
      (names.item_types[code] for code in events.item_type),
      events.engaged.tolist(),
      strict=True,
    )
    result[user] = list(columns)
  return result


def whole(shop, tmp_path, **fields):
  """Returns the same log, prepared at once."""
  config = shop.config(**fields)
  config.data.prepared_dir = str(tmp_path / "whole")
  return dataset.load(config.data)


def test_an_appended_log_equals_one_that_is_prepared_at_once(
  shop, grow, tmp_path
):
  shop.day(3, users=40)  # Ten users are new.
  shop.items(30)
  first = grow()
  shop.day(4, items=30)
  second = grow()
  assert len({*grow.folder}) == 3
  assert shown(second) == shown(whole(shop, tmp_path))
  assert len(first.users) == len(second.users) == 40
  # Earlier rows keep their place, and new items come after them.
  assert second.items.ids[:25].tolist() == first.items.ids[:25].tolist()
  assert sorted(second.items.ids[1:].tolist()) == list(range(30))
  assert second.items.candidate[1:].all()
  folder = second.folder
  assert read(folder).earlier[0].startswith("../..")
  # Rows of the item table and of the day.
  assert row_errors.load(folder).rows == 30 + 30 * 4


def test_late_and_repeated_events_are_merged(shop, grow, tmp_path):
  start = 19_000 * DAY
  users, events = grow().users, grow().events
  own = events[users.index("u1")]
  again = (int(own.item[2]), int(own.time[2]))
  ids = grow().items.ids
  shop.write(
    "late.csv",
    [
      ("u1", ids[again[0]], again[1], "click"),
      ("u1", ids[again[0]], again[1], "buy"),
      ("u1", 4, start + 5, "click"),
      ("u1", 7, start + 3 * DAY, "click"),
      ("u99", 7, start + 3 * DAY, "click"),
    ],
  )
  found = grow()
  assert shown(found) == shown(whole(shop, tmp_path))
  times = found.events[found.users.index("u1")].time
  assert (times[1:] >= times[:-1]).all()
  assert len(times) == len(own) + 2


@pytest.mark.parametrize("seed", range(3))
def test_random_rows_in_three_files(shop, tmp_path, seed):
  """Impressions, equal moments and late rows, in any of the files."""
  rng = np.random.default_rng(seed)
  for path in (shop.folder / "events").iterdir():
    path.unlink()
  config = shop.config()
  folder = None
  for number in range(3):
    rows = [
      (
        f"u{rng.integers(5)}",
        int(rng.integers(4)),
        19_000 * DAY + 61 + 300 * int(rng.integers(60)),
        ("click", "buy", "impression")[rng.integers(3)],
      )
      for _ in range(80)
    ]
    shop.write(f"{number}.csv", rows)
    if folder:
      folder = dataset.append(config.data, folder)
    else:
      folder = dataset.prepare(config.data)
  found = dataset.load(config.data)
  assert len(read(found.folder).earlier) == 2
  own, other = shown(found), shown(whole(shop, tmp_path))
  assert own.keys() == other.keys()
  for user, events in own.items():
    # Order within a second may differ, if an impression was in an earlier file.
    assert sorted(events) == sorted(other[user])


def test_the_same_file_twice_is_left_out(shop, grow):
  folder = shop.folder / "events"
  (folder / "copy.csv").write_bytes((folder / "day1.csv").read_bytes())
  known = read(grow.folder[0])
  new = inputs.new_files(shop.config().data, known)
  assert bool(new) is False
  assert [path.name for path in new.repeated] == ["copy.csv"]
  os.utime(folder / "day1.csv", (1, 1))  # Its content is the same.
  assert not inputs.new_files(shop.config().data, known)
  (folder / "day1.csv").rename(folder / "moved.csv")
  assert not inputs.new_files(shop.config().data, known).events


@pytest.mark.parametrize("change", ["change", "truncate", "remove"])
def test_an_earlier_file_that_changed_is_named(shop, grow, change):
  path = shop.folder / "events" / "day1.csv"
  text = path.read_text()
  if change == "remove":
    path.unlink()
  else:
    path.write_text(text + "u1,1,5,buy\n" if change == "change" else text[:99])
  shop.day(3)
  expected = "is missing" if change == "remove" else "has changed since"
  with pytest.raises(ValueError, match=rf"day1\.csv {expected}.*another --wor"):
    grow()


def test_a_file_that_changes_while_it_is_read_is_named(shop, grow, monkeypatch):
  shop.day(3)
  path = shop.folder / "events" / "day3.csv"
  check = events_lib.check

  def checked(*arguments):
    found = check(*arguments)
    with path.open("a") as file:
      file.write("u1,1,")  # The other program goes on writing.
    return found

  monkeypatch.setattr(log.events, "check", checked)
  with pytest.raises(ValueError, match=r"day3\.csv changed while it was read"):
    grow()
  assert not [*(shop.folder / "prepared").rglob("*rows*")][1:]
  monkeypatch.undo()
  shop.day(3)
  assert len(grow().users) == 30


def test_a_day_without_events(shop, grow, tmp_path):
  before = shown(grow())
  shop.write("day3.csv", [])
  assert shown(grow()) == before
  shop.items(25)  # Only the item table is new.
  found = grow()
  assert shown(found) == before
  assert found.items.candidate[found.catalog.row_of["24"]]


def test_a_day_with_one_user_and_one_event(shop, grow, tmp_path):
  """It is no log of days, and its only price is no mean."""
  shop.items(26)
  shop.write("day3.csv", [("new", 25, 19_003 * DAY, "buy")])
  found = grow()
  assert shown(found)["new"] == shown(whole(shop, tmp_path))["new"]
  mean, deviation = found.catalog.numbers["price"]
  price = found.items.dense[found.catalog.row_of["25"], 0]
  assert price == pytest.approx((10 + 25 - mean) / deviation, abs=1e-5)


def test_a_deleted_item_stays_in_histories(shop, grow):
  shop.items(without=(3,))
  shop.day(3)
  found = grow()
  row = found.catalog.row_of["3"]
  assert not found.items.candidate[row]
  assert found.items.candidate.sum() == 23
  assert any((events.item == row).any() for events in found.events)
  assert found.items.categorical[row, 0] > 0  # It keeps its features.
  assert found.catalog.title(row) == "item 3"


def test_a_new_value_of_a_category_is_missing(shop, grow):
  before = grow().catalog.names
  shop.items(28, kinds=4)  # Every kind but the first three rows' is another.
  shop.day(3, items=28)
  found = grow()
  assert following.is_same(found.catalog, following.of_catalog(found.catalog))
  assert found.catalog.names == before
  assert found.items.categorical[found.catalog.row_of["27"], 0] == 0
  notes = row_errors.load(found.folder).notes
  assert notes["new values of kind, which count as missing"] == 1


def test_a_new_action_is_bad_and_named(shop, grow):
  shop.write("day3.csv", [("u1", 1, 19_003 * DAY, "return")])
  with pytest.raises(ValueError, match="unknown action"):
    grow()


def test_items_without_a_table_are_appended(shop, tmp_path):
  fields = {"data.items": "", "data.custom.column_types": ""}
  config = shop.config(**fields)
  earlier = dataset.prepare(config.data)
  start = 19_003 * DAY
  rows = [("u1", item, start + 7, "click") for item in (1, "new", 2)]
  shop.write("day3.csv", rows)
  dataset.append(config.data, earlier)
  found = dataset.load(config.data)
  assert found.items.ids[-1] == "new"
  assert found.items.candidate[1:].all()
  assert len(found.items.ids) == 26


def test_clocks_that_differ_between_files(shop, grow, tmp_path):
  """Files that overlap in time become one history in the order of time."""
  rows = [("u1", n, 19_003 * DAY + 60 * n, "click") for n in range(9)]
  shop.write("a.csv", rows[::2])
  grow()
  shop.write("b.csv", [(u, i, t - 3600, a) for u, i, t, a in rows[1::2]])
  found = grow()
  assert shown(found) == shown(whole(shop, tmp_path))


def test_a_full_disk_leaves_nothing(shop, grow, monkeypatch):
  shop.day(3)
  before = {*(shop.folder / "prepared").rglob("*.parquet")}

  def fail(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(store, "finish", fail)
  with pytest.raises(OSError, match="No space left"):
    grow()
  assert {*(shop.folder / "prepared").rglob("*.parquet")} == before
  monkeypatch.undo()
  assert len(grow().users) == 30


def test_a_missing_earlier_day_is_prepared_again(shop, grow):
  shop.day(3)
  before = shown(grow())
  (grow.folder[0] / store.MANIFEST).unlink()
  found = dataset.load(shop.config().data)
  assert shown(found) == before
  assert not read(found.folder).earlier
