"""A hand-made log with every defect, and one without."""

import json
import os
import signal
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import pytest

from pinrec_jax.data import (
  dataset as dataset_lib,
)
from pinrec_jax.data import (
  histories,
  identifiers,
  readers,
  row_errors,
  schema,
  store,
)
from pinrec_jax.data.custom import events as events_lib
from pinrec_jax.data.custom import log as log_lib

EVENTS = """user,item,time,action,surface
u1,7,1700000000,click,feed
u1,8,1700000100,save,feed
u1,8,1700000100,click,feed
u2,9,2023-11-14T22:13:20Z,impression,
u2,10,1700000200000,,feed
u2,7,1700000300.9,hide,search
u3,8,1700000400123456,click,unknown
u3,10,2023-11-14 23:20:00+01:00,save,feed
"""
ITEMS = [
  {"item": 7, "tag": ["a", "b"], "price": 3, "vec": [1, 2], "name": "an oar"},
  {"item": "8", "tag": "a|c", "price": 5, "vec": [1, 0], "name": "a boat"},
  {"item": 10, "price": None, "vec": None, "item_type": "ad"},
]
FIELDS = {
  "actions": "click, save",
  "signals": "hide",
  "column_types": "price:number, vec:vector, name:ignore",
}


def same(one, other):
  """Asserts that two logs hold the same."""
  assert one.users == other.users
  assert one.vocabulary == other.vocabulary
  assert one.catalog.values == other.catalog.values
  for was, now in zip(one.items, other.items, strict=True):
    np.testing.assert_array_equal(was, now)
  for was, now in zip(one.events, other.events, strict=True):
    for name in schema.COLUMNS:
      np.testing.assert_array_equal(getattr(was, name), getattr(now, name))


def test_a_log_is_read_as_written(load):
  dataset, errors = load(EVENTS, ITEMS, **FIELDS)
  assert dataset.users == ("u1", "u2", "u3")
  assert dataset.items.ids[1:].tolist() == [7, 8, 10, 9]
  assert dataset.items.candidate.tolist() == [False, True, True, True, False]
  names = dataset.vocabulary
  assert names.actions == ("click", "save", "hide")
  assert names.outcome_names == ("click", "save")
  assert names.surfaces == ("unknown", "feed", "search")
  assert names.item_types == ("ad", "item")
  assert names.features == (schema.Feature("tag", 4, 2),)
  assert dataset.items.categorical.tolist() == [
    [0, 0], [1, 2], [1, 3], [0, 0], [0, 0],
  ]  # fmt: skip
  price, *vectors, has = dataset.items.dense[1:].T
  np.testing.assert_allclose(price, [-(0.5**0.5), 0.5**0.5, 0, 0], rtol=1e-6)
  np.testing.assert_array_equal(vectors, [[1, 1, 0, 0], [2, 0, 0, 0]])
  assert has.tolist() == [1, 1, 0, 0]
  one, two, three = dataset.events
  # A click and a save at one moment are one event.
  assert one.actions.tolist() == [[1, 0, 0], [1, 1, 0]]
  assert one.time.tolist() == [1_700_000_000, 1_700_000_100]
  assert one.engaged.all()
  assert dataset.items.ids[two.item].tolist() == [9, 10, 7]
  assert two.time.tolist() == [1_700_000_000, 1_700_000_200, 1_700_000_300]
  assert two.surface.tolist() == [0, 1, 2]
  assert not two.engaged.any()
  assert two.actions.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
  assert three.time.tolist() == [1_700_000_400, 1_700_000_400]
  assert (errors.rows, errors.rejected) == (11, 0)
  assert errors.notes == {
    "rows that became one event with another": 1,
    "events of items that are not in data.items": 1,
  }
  assert errors.messages == [
    "the log runs from 2023-11-14 22:13:20 UTC to 2023-11-14 22:20:00 UTC"
  ]


def test_defects_are_counted_and_shown_by_row(load):
  defects = """,8,1700000100,click,feed
 ,8,1700000100,click,feed
u2,,1700000100,click,feed
u2,9,soon,click,feed
u2,9,,click,feed
u2,9,inf,click,feed
u2,9,99999999999,click,feed
u2,9,-4,click,feed
u2,9,0,click,feed
u2,9,1700000100,hug,feed
u1,7,1700000000,click,feed
u2,7
u2,7,1700000100,click,feed,more
"""
  bad_items = [
    {"item": 8, "price": 1},
    {"item": None, "price": 1},
    {"price": 1},
    {"item": 11, "price": "dear"},
    {"item": 12, "price": "inf"},
    {"item": 13, "vec": [1, "x"]},
    {"item": 14, "vec": "[1, NaN]"},
    {"item": 15, "vec": "1 2"},
    "[]",
    "{",
  ]
  dataset, errors = load(
    EVENTS + defects, ITEMS + bad_items, max_bad=0.9, **FIELDS
  )
  assert errors.counts == {
    "no user": 2,
    "no item": 3,
    "time cannot be read": 2,
    "no time": 1,
    "time in the future": 1,
    "time before 1970": 1,
    "time before 1990": 1,
    "unknown action": 1,
    "wrong number of fields": 2,
    "not a JSON object": 2,
  }
  assert errors.dropped == {"duplicate": 1, "item listed before": 1}
  assert errors.rows == 8 + 13 + 3 + 10
  assert errors.examples["no user"][0] == "events.csv:10 user=''"
  assert errors.examples["time cannot be read"][0] == (
    "events.csv:13 time='soon'"
  )
  assert errors.examples["duplicate"] == ["events.csv:20"]
  assert errors.examples["unknown action"] == ["events.csv:19 action='hug'"]
  assert errors.examples["wrong number of fields"] == [
    "events.csv:21 has 2 fields instead of 5",
    "events.csv:22 has 6 fields instead of 5",
  ]
  assert errors.examples["item listed before"] == ["items.jsonl:4"]
  # A bad feature is missing; the item stays.
  assert errors.notes["items whose price is not a number; it is missing"] == 2
  vector = "items whose vec is not a vector of finite numbers; it is missing"
  assert errors.notes[vector] == 3
  assert {11, 12, 13, 14, 15} <= {*dataset.items.ids.tolist()}
  # The good rows are read as without the others.
  clean, _ = load(EVENTS, ITEMS, **FIELDS)
  for one, other in zip(dataset.events, clean.events, strict=True):
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.actions, other.actions)


def test_too_many_bad_rows_stop_it_and_are_shown(custom):
  config = custom(
    EVENTS + "u2,9,soon,click,feed\n", ITEMS, max_bad=0.05, **FIELDS
  )
  with pytest.raises(
    ValueError, match=r"1 of 12 rows are bad.*max_bad_fraction=0\.05"
  ) as e:
    dataset_lib.load(config)
  assert "events.csv:10 time='soon'" in str(e.value)
  config.max_bad_fraction = 0.1
  assert len(dataset_lib.load(config).users) == 3


def test_a_second_preparation_knows_its_result(custom, monkeypatch):
  config = custom(EVENTS, ITEMS, **FIELDS)
  first = dataset_lib.load(config)
  monkeypatch.setattr(row_errors, "RowFilter", None)
  assert dataset_lib.load(config).users == first.users
  config.custom.column_types = ""  # It is prepared with other options.
  with pytest.raises(TypeError):
    dataset_lib.load(config)


def test_a_large_log_is_prepared_in_pieces(custom, monkeypatch):
  whole = dataset_lib.load(custom(EVENTS, ITEMS, **FIELDS))
  monkeypatch.setattr(log_lib, "ROWS", 1)
  monkeypatch.setattr(readers, "ROWS", 2)
  monkeypatch.setattr(events_lib, "GROUP", 1)
  pieces = dataset_lib.load(custom(EVENTS + "\n", ITEMS, **FIELDS))
  assert pieces.folder != whole.folder
  same(whole, pieces)


def test_nothing_is_left_but_the_prepared_log(load):
  dataset, _ = load(EVENTS, ITEMS, **FIELDS)
  found = {path.name for path in dataset.folder.parent.iterdir()}
  assert found == {"custom_log", "custom_log.lock"}
  found = {path.name for path in dataset.folder.iterdir()}
  assert found == {
    "events", "items.parquet", "names.json", "rows.json", "digests.json",
    "inputs.json",
  }  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_preparation_leaves_nothing_once_it_runs_again(
  custom, tmp_path, number
):
  config = custom(EVENTS, ITEMS, **FIELDS)
  program = f"""
import os
from pinrec_jax import config
from pinrec_jax.data import dataset, store
def stopped(*_):
  os.kill(os.getpid(), {int(number)})
  raise AssertionError("it went on")
store.Writer.add = stopped
data = config.Data(name="custom_log", events={config.events!r},
  items={config.items!r}, prepared_dir={config.prepared_dir!r},
  max_bad_fraction=0.0)
for name, value in {FIELDS!r}.items():
  setattr(data.custom, name, value)
dataset.load(data)
"""
  done = subprocess.run([sys.executable, "-c", program], check=False)
  assert done.returncode == {15: 143, 9: -9}[int(number)]
  (folder,) = (tmp_path / "prepared").iterdir()
  left = {path.name for path in folder.iterdir()} - {"custom_log.lock"}
  assert bool(left) == (number == signal.SIGKILL)
  dataset_lib.load(config)
  assert {path.name for path in folder.iterdir()} == {
    "custom_log", "custom_log.lock",
  }  # fmt: skip


@pytest.mark.parametrize("name", ["events/item", "names.json", "items.parquet"])
def test_a_damaged_log_is_prepared_again(custom, name, capsys):
  config = custom(EVENTS, ITEMS, **FIELDS)
  first = dataset_lib.load(config)
  path = first.folder / name
  whole = path.read_bytes()
  changed = bytearray(whole)
  changed[len(changed) // 2] ^= 1
  path.write_bytes(changed)
  again = dataset_lib.load(config)
  assert f"{path} is damaged" in capsys.readouterr().err
  assert path.read_bytes() == whole or name == "items.parquet"
  same(dataset_lib.load(config), again)


def test_an_action_may_have_a_column_of_its_own(load):
  events = (
    "uid,item,time,click,save,hide\n"
    "a,7,1700000000,1,,False\na,8,1700000001,TRUE,yes,0\n"
    "b,7,1700000002,0,no,1\nb,7,1700000003,maybe,0,0\n"
  )
  fields = FIELDS | {"column_types": ""}
  for action in ("", "action"):
    dataset, errors = load(
      events, user="uid", action=action, max_bad=0.5, **fields
    )
    assert dataset.events[0].actions.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert dataset.events[1].actions.tolist() == [[0, 0, 1]]
    assert errors.counts == {"action neither true nor false": 1}
    assert dataset.items.candidate[1:].all()
    assert dataset.vocabulary.features == ()


def test_sessions_of_the_log_are_kept(load):
  events = "user,item,time,action,visit\n" + "".join(
    f"a,{n},{1_700_000_000 + n},click,{visit}\n"
    for n, visit in enumerate(["x", "x", "y", "", "", "x"])
  )
  dataset, _ = load(events, session="visit")
  (events,) = dataset.events
  assert events.session.tolist() == [0, 0, 1, -1, -1, 0]
  assert histories.sessions(events, 60).tolist() == [0, 0, 1, 1, 1, 0]
  assert histories.sessions(events, 0).tolist() == [0, 0, 1, 2, 3, 0]


def test_without_times_rows_are_in_order(load):
  events = "user,item,action\na,9,click\na,7,click\na,7,click\nb,7,save\n"
  for time in ("", "time"):
    dataset, errors = load(events, time=time)
    assert dataset.items.ids[dataset.events[0].item].tolist() == [9, 7, 7]
    assert not dataset.events[0].time.any()
    assert dataset.vocabulary.test_from == 0
    assert not errors.dropped
    assert "the log has no times" in str(errors)


@pytest.mark.parametrize(
  ("ids", "read"),
  [
    ([7, -3, 2**63 - 1], [-3, 7, 2**63 - 1]),
    (["7", "-3"], [-3, 7]),
    (["007", "7"], ["007", "7"]),
    ([2**63, 1], ["1", str(2**63)]),
    (["7f0c-é", "物品"], ["7f0c-é", "物品"]),
    ([7, "x"], ["7", "x"]),
    ([3, 3.0, "3", " 3", "3.0", "3.00"], [3]),
  ],
)
def test_ids_are_kept_as_written(load, ids, read):
  rows = [
    {"user": "a", "item": key, "time": 1_700_000_000 + n, "action": "click"}
    for n, key in enumerate(ids)
  ]
  dataset, _ = load(rows)
  assert dataset.items.ids[1:].tolist() == read
  assert set(dataset.catalog.row_of) == {
    identifiers.id_text(key) for key in ids
  }


def test_timestamps_of_parquet_are_read(custom, tmp_path):
  config = custom("")
  moments = pd.to_datetime([1_700_000_000, 1_700_000_001], unit="s")
  for zone in (None, "Asia/Shanghai"):
    path = tmp_path / "events.parquet"
    at = moments.tz_localize("UTC").tz_convert(zone) if zone else moments
    pd.DataFrame(
      {"user": [1, 1], "item": [2, 3], "time": at, "action": "save"}
    ).to_parquet(path)
    config.events = str(path)
    (events,) = dataset_lib.load(config).events
    assert events.time.tolist() == [1_700_000_000, 1_700_000_001]


def test_a_split_by_time(load):
  dataset, _ = load(
    EVENTS,
    actions="click,save,hide",
    validation_from="2023-11-14T22:15:00Z",
    test_from="1700000300",
  )
  names = dataset.vocabulary
  assert (names.validation_from, names.test_from) == (
    1_700_000_100,
    1_700_000_300,
  )


def _events(**columns):
  """Clicks of two users, with columns of any types."""
  rows = {"user": ["a", "b"], "item": [7, 8], "time": [1_700_000_000] * 2}
  return pd.DataFrame(rows | {"action": "click"} | columns)


@pytest.mark.parametrize(
  "files",
  [
    {"1.parquet": {"session": [1, 2]}, "2.parquet": {"session": [1, None]}},
    {"1.csv": {"surface": "home"}, "2.jsonl": {"surface": "home"}},
    {"1.jsonl": {"surface": "home"}, "2.jsonl": {}},
    {"1.parquet": {"item": [7, 8]}, "2.parquet": {"item": ["x", "8"]}},
    {"1.parquet": {"item": [7.0, 8.0]}, "2.csv": {"item": [7, None]}},
  ],
)
def test_files_may_type_a_column_each_in_its_own_way(custom, tmp_path, files):
  folder = tmp_path / "log"
  folder.mkdir()
  for name, columns in files.items():
    ending = name.partition(".")[2]
    write = {
      "parquet": lambda frame, path: frame.to_parquet(path),
      "csv": lambda frame, path: frame.to_csv(path, index=False),
      "jsonl": lambda frame, path: frame.to_json(
        path, orient="records", lines=True
      ),
    }[ending]
    frame = _events(**columns)
    frame["time"] += int(name[0])
    write(frame, folder / name)
  config = custom("", max_bad=0.5)
  config.events = str(folder)
  dataset = dataset_lib.load(config)
  assert dataset.users == ("a", "b")
  bad = row_errors.load(dataset.folder).rejected
  assert sum(len(events) for events in dataset.events) == 4 - bad


def test_an_object_may_lack_what_others_have(load, monkeypatch):
  rows = [
    {"user": "a", "item": n, "time": 1_700_000_000 + n, "click": True}
    for n in range(5)
  ]
  rows[1]["save"] = True
  rows[2]["place"] = "home"
  monkeypatch.setattr(readers, "ROWS", 2)
  dataset, _ = load(rows, action="", surface="place", actions="click,save")
  (events,) = dataset.events
  assert events.actions.tolist() == [[1, 0], [1, 1], [1, 0], [1, 0], [1, 0]]
  assert events.surface.tolist() == [0, 0, 1, 0, 0]
  with pytest.raises(ValueError, match=r"actions names 'share', and events"):
    load(rows, action="", surface="place", actions="click,share")


def test_an_impression_is_one_with_the_engagement_it_led_to(load):
  """Otherwise the last event before a target would show the target."""
  at = 1_700_000_000
  events = "user,item,time,action,surface\n" + "".join(
    f"{user},{item},{at + seconds},{action},{surface}\n"
    for user, item, seconds, action, surface in [
      ("a", 7, 0, "impression", "home"),
      ("a", 8, 1, "impression", "home"),
      ("a", 7, 5, "click", "home"),
      ("a", 8, 6, "hide", "home"),
      ("a", 9, 10, "impression", "home"),
      ("a", 9, 20, "click", "search"),  # Elsewhere.
      ("a", 6, 30, "impression", "home"),
      ("a", 6, 30 + 1801, "click", "home"),  # Too late.
      ("b", 9, 8, "click", "home"),  # Of another user.
    ]
  )
  dataset, errors = load(events, actions="click", signals="hide")
  one, _ = dataset.events
  assert dataset.items.ids[one.item].tolist() == [8, 7, 8, 9, 9, 6, 6]
  assert errors.notes == {
    "impressions that became one event with the engagement they led to": 1
  }


def test_a_new_column_of_events_needs_no_other_file(load, monkeypatch):
  column = {"dtype": np.int16, "missing": -1, "compact": np.int16}
  from pinrec_jax.data.custom import roles

  monkeypatch.setattr(roles, "EXTRA", ("session",))
  monkeypatch.setitem(schema.COLUMNS, "session", column)
  rows = EVENTS.replace("action,surface", "action,session")
  rows = rows.replace("feed", "2").replace("search", "").replace("unknown", "")
  dataset, _ = load(rows, session="", actions="click,save,hide")
  found = [events.session.tolist() for events in dataset.events]
  assert found == [[2, 2], [-1, 2, -1], [-1, 2]]
  assert dataset.events[0].session.dtype == np.int16


def test_memory_is_limited_and_more_spills(load, monkeypatch):
  monkeypatch.setattr(log_lib, "MEMORY", "40MB")
  seen = []
  connect = duckdb.connect

  def connected(*args):
    seen.append(connect(*args))
    return seen[-1]

  monkeypatch.setattr(duckdb, "connect", connected)
  rows = [
    {"user": f"u{n % 97}", "item": n % 31, "time": 1_700_000_000 + n}
    for n in range(3000)
  ]
  dataset, _ = load(rows)
  assert sum(len(events) for events in dataset.events) == 3000
  assert len(seen) == 1
  assert not (dataset.folder / "spill").exists()


def test_the_log_says_where_it_is_prepared_in_one_line(custom, capfd):
  config = custom(EVENTS, ITEMS, **FIELDS)
  folder = dataset_lib.load(config).folder
  out, err = capfd.readouterr()
  assert (out, err) == ("", f"preparing custom_log in {folder}\n")
  dataset_lib.load(config)
  assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a [1]", "it's", "ü*?"])
def test_the_prepared_folder_may_have_any_name(custom, tmp_path, name):
  config = custom(EVENTS, ITEMS, **FIELDS)
  config.prepared_dir = str(tmp_path / name)
  assert dataset_lib.load(config).users == ("u1", "u2", "u3")


def test_other_encodings_of_the_system_change_nothing(custom):
  config = custom([{"user": "ü", "item": "物", "time": 1_700_000_000}])
  program = f"""
from pinrec_jax import config
from pinrec_jax.data import dataset
data = config.Data(name="custom_log", events={config.events!r},
  prepared_dir={config.prepared_dir!r})
found = dataset.load(data)
assert found.users == ({"ü"!a},), found.users
assert found.items.ids[1:].tolist() == [{"物"!a}]
"""
  environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
  environment |= {"PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
  subprocess.run(
    [sys.executable, "-X", "warn_default_encoding", "-c", program],
    env=environment,
    check=True,
  )
  assert json.loads(
    (dataset_lib.load(config).folder / "names.json").read_text("utf-8")
  )
  assert store.is_finished(dataset_lib.load(config).folder)
