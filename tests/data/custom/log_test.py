"""A hand-made log with every defect, and one without."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, row_errors, schema
from pinrec_jax.data.custom import parts

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


def embed(texts):
  """Stands in for a text model."""
  return np.array([[len(text), text.count("a")] for text in texts], float)


@pytest.fixture
def own(tmp_path):
  """Returns the function from files to a configuration."""

  def written(events=EVENTS, items=ITEMS, ending=".csv", **fields):
    path = tmp_path / f"events{ending}"
    path.write_text(events)
    data = config_lib.Data(
      name="custom_log",
      events=str(path),
      prepared_dir=str(tmp_path / "prepared"),
    )
    if items is not None:
      data.items = str(tmp_path / "items.jsonl")
      lines = [i if isinstance(i, str) else json.dumps(i) for i in items]
      (tmp_path / "items.jsonl").write_text("\n".join(lines))
    data.custom.actions, data.custom.signals = "click, save", "hide"
    data.max_bad_fraction = fields.pop("max_bad", 0.0)
    for name, value in fields.items():
      setattr(data.custom, name, value)
    return data

  return written


def test_a_log_is_read_as_written(own):
  dataset = dataset_lib.load(own(numbers="price", vector="vec", ignore="name"))
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
  faults = row_errors.load(dataset.folder)
  assert (faults.rows, faults.rejected) == (11, 0)
  assert faults.notes == {
    "rows made one event with another": 1,
    "events of items that are not in data.items": 1,
  }


def test_defects_are_counted_and_shown_by_row(own):
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
  config = own(
    EVENTS + defects, ITEMS + bad_items, max_bad=0.9,
    numbers="price", vector="vec", ignore="name",
  )  # fmt: skip
  dataset = dataset_lib.load(config)
  faults = row_errors.load(dataset.folder)
  assert faults.counts == {
    "no user": 2,
    "no item": 3,
    "time cannot be read": 2,
    "no time": 1,
    "time in the future": 1,
    "time before 1970": 2,
    "unknown action": 1,
    "duplicate": 1,
    "wrong number of fields": 2,
    "item listed before": 1,
    "not a finite number": 2,
    "not a vector of finite numbers": 3,
    "no JSON object": 2,
  }
  assert faults.rows == 8 + 13 + 3 + 10
  assert faults.examples["no user"][0] == "events.csv:10 user=''"
  assert faults.examples["time cannot be read"][0] == (
    "events.csv:13 time='soon'"
  )
  assert faults.examples["duplicate"] == ["events.csv:20"]
  assert faults.examples["wrong number of fields"] == [
    "events.csv:21 has 2 fields and not 5",
    "events.csv:22 has 6 fields and not 5",
  ]
  assert faults.examples["not a finite number"][0] == (
    "items.jsonl:7 price='dear'"
  )
  assert faults.examples["item listed before"] == ["items.jsonl:4"]
  # What is good is as it was.
  clean = dataset_lib.load(own(numbers="price", vector="vec", ignore="name"))
  for one, other in zip(dataset.events, clean.events, strict=True):
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.actions, other.actions)


def test_too_many_bad_rows_stop_it_and_are_shown(own):
  config = own(EVENTS + "u2,9,soon,click,feed\n", max_bad=0.05, ignore="name")
  with pytest.raises(
    ValueError, match=r"1 of 12 rows are bad.*max_bad=0\.05"
  ) as e:
    dataset_lib.load(config)
  assert "events.csv:10 time='soon'" in str(e.value)
  config.max_bad = 0.1
  assert len(dataset_lib.load(config).users) == 3


def test_a_second_preparation_knows_its_result(own, monkeypatch):
  config = own(ignore="name")
  first = dataset_lib.load(config)
  monkeypatch.setattr(row_errors, "Sieve", None)
  assert dataset_lib.load(config).users == first.users
  config.own.ignore = ""  # asked for otherwise, it is read again
  with pytest.raises(TypeError):
    dataset_lib.load(config)


def test_a_large_log_is_prepared_in_pieces(own, monkeypatch):
  monkeypatch.setattr(parts, "BYTES", 50)  # of the file, for each part
  whole = dataset_lib.load(own())
  monkeypatch.setattr(parts, "GROUP", 1)
  pieces = dataset_lib.load(own(events=EVENTS + "\n"))
  assert pieces.folder != whole.folder
  splits = {path.name.split("-")[1] for path in pieces.folder.glob("*record*")}
  assert len(splits) > 1
  found = dict(zip(pieces.users, pieces.events, strict=True))
  assert sorted(found) == sorted(whole.users)
  for user, events in zip(whole.users, whole.events, strict=True):
    assert found[user].item.tolist() == events.item.tolist()
  assert not list(pieces.folder.parents[3].glob("rows-*"))


def test_an_action_may_have_a_column_of_its_own(own):
  events = (
    "uid,item,time,click,save,hide\n"
    "a,7,1700000000,1,,False\na,8,1700000001,TRUE,yes,0\nb,7,1700000002,0,no,1\n"
    "b,7,1700000003,maybe,0,0\n"
  )
  config = own(events, None, user="uid", action="", max_bad=0.5)
  dataset = dataset_lib.load(config)
  assert dataset.events[0].actions.tolist() == [[1, 0, 0], [1, 1, 0]]
  assert dataset.events[1].actions.tolist() == [[0, 0, 1]]
  faults = row_errors.load(dataset.folder)
  assert faults.counts == {"action neither true nor false": 1}
  assert dataset.items.candidate[1:].all()
  assert dataset.vocabulary.features == ()


def test_sessions_may_be_told(own):
  events = "user,item,time,action,visit\n" + "".join(
    f"a,{n},{1_700_000_000 + n},click,{visit}\n"
    for n, visit in enumerate(["x", "x", "y", "", "", "x"])
  )
  (events,) = dataset_lib.load(own(events, None, session="visit")).events
  assert events.session.tolist() == [0, 0, 1, -1, -1, 0]
  assert histories.sessions(events, 60).tolist() == [0, 0, 1, 1, 1, 0]
  assert histories.sessions(events, 0).tolist() == [0, 0, 1, 2, 3, 0]


def test_without_times_rows_are_in_order(own):
  events = "user,item,action\na,9,click\na,7,click\na,7,click\nb,7,save\n"
  dataset = dataset_lib.load(own(events, None, time=""))
  assert dataset.items.ids[dataset.events[0].item].tolist() == [9, 7, 7]
  assert not dataset.events[0].time.any()
  assert dataset.vocabulary.test_from == 0


@pytest.mark.parametrize(
  ("ids", "read"),
  [
    ([7, -3, 2**63 - 1], [-3, 7, 2**63 - 1]),
    (["7", "-3"], [-3, 7]),
    (["007", "7"], ["007", "7"]),
    ([2**63, 1], ["1", str(2**63)]),
    (["7f0c-é", "物品"], ["7f0c-é", "物品"]),
    ([7, "x"], ["7", "x"]),
  ],
)
def test_ids_are_kept_as_written(own, ids, read):
  lines = [
    json.dumps({"user": "a", "item": key, "time": 1 + n, "action": "click"})
    for n, key in enumerate(ids)
  ]
  dataset = dataset_lib.load(own("\n".join(lines), None, ".jsonl"))
  assert dataset.items.ids[1:].tolist() == read
  assert set(dataset.catalog.row_of) == {str(key) for key in ids}


def test_timestamps_of_parquet_are_read(own, tmp_path):
  config = own("", None)
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


def test_texts_are_embedded_by_the_hook(own, monkeypatch):
  monkeypatch.syspath_prepend(str(__file__).rpartition("/")[0])
  config = own(text="name", embed="log_test:embed", ignore="price,vec")
  dataset = dataset_lib.load(config)
  assert [feature.name for feature in dataset.vocabulary.features] == ["tag"]
  assert dataset.items.dense[1:].tolist() == [
    [6, 2, 1], [6, 2, 1], [0, 0, 1], [0, 0, 0],
  ]  # fmt: skip
  for hook, message in (
    ("no_such_module:embed", "cannot be had"),
    ("log_test", "cannot be had"),
    ("log_test:absent", "cannot be had"),
    ("time:sleep", "cannot be had|made"),
  ):
    config.own.embed = hook
    if hook == "time:sleep":
      monkeypatch.setattr(time, "sleep", np.shape)
    with pytest.raises(ValueError, match=message):
      dataset_lib.load(config)


def test_a_split_by_time(own):
  config = own(
    None or EVENTS, None, validation_from="2023-11-14T22:15:00Z",
    test_from="1700000300",
  )  # fmt: skip
  names = dataset_lib.load(config).vocabulary
  assert (names.validation_from, names.test_from) == (
    1_700_000_100,
    1_700_000_300,
  )


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"actions": ""}, "own.actions is '' .* name each action once"),
    ({"actions": "click,save", "signals": "save"}, "name each action once"),
    ({"user": "uid"}, r"own\.user is 'uid' and events.csv has the col"),
    ({"item": ""}, r"own\.item is '' and items.jsonl has"),
    ({"surface": "place"}, r"own\.surface is 'place' and events.csv has"),
    ({"action": ""}, "none named 'click' but user, item"),
    ({"numbers": "weight"}, r"own\.numbers names 'weight' and items.jsonl has"),
    ({"text": "story"}, r"own\.text names 'story'"),
    ({"test_from": "2023-11-14"}, "validation_from is ''; give a time such as"),
    ({"test_from": "x", "validation_from": "1"}, "test_from is 'x'; give"),
    ({"test_from": "2", "validation_from": "1", "time": ""}, "time is empty"),
    ({"actions": "click,item"}, "name 'item', which every log has a column"),
    (
      {"test_from": "2023-11-14", "validation_from": "2023-11-15"},
      "not before test_from",
    ),
  ],
)  # fmt: skip
def test_a_configuration_that_does_not_fit_is_said(own, fields, message):
  with pytest.raises(ValueError, match=message):
    dataset_lib.load(own(**fields))


def test_files_that_do_not_fit_are_said(own):
  config = own()
  config.events = ""
  with pytest.raises(ValueError, match=r"data\.events is empty; give a file"):
    dataset_lib.load(config)
  with pytest.raises(ValueError, match="holds no good row"):
    dataset_lib.load(own("user,item,time,action\n"))
  with pytest.raises(ValueError, match="holds no good row"):
    dataset_lib.load(own(items=[]))
  ragged = [{"item": 1, "vec": [1]}, {"item": 2, "vec": [1, 2]}]
  with pytest.raises(ValueError, match=r"'vec' .* has vectors of \[1, 2\] num"):
    dataset_lib.load(own(items=ragged, vector="vec"))


def test_more_values_than_slots_are_noted(own):
  dataset = dataset_lib.load(own(slots=1, ignore="name,price,vec"))
  assert dataset.vocabulary.features == (schema.Feature("tag", 2, 1),)
  notes = row_errors.load(dataset.folder).notes
  assert notes["items of whose tag the first 1 are kept"] == 2


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
  ],
)
def test_files_may_type_a_column_each_in_its_own_way(own, tmp_path, files):
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
  config = own(items=None)
  config.events = str(folder)
  dataset = dataset_lib.load(config)
  assert dataset.users == ("a", "b")
  assert [len(events) for events in dataset.events] == [2, 2]


def test_an_object_may_lack_what_others_have(own, monkeypatch):
  rows = [
    {"user": "a", "item": n, "time": 1_700_000_000 + n, "click": True}
    for n in range(5)
  ]
  rows[1]["save"] = True
  rows[2]["place"] = "home"
  text = "\n".join(map(json.dumps, rows))
  monkeypatch.setattr(readers, "ROWS", 2)
  config = own(text, None, ".jsonl", action="", surface="place", signals="")
  (events,) = dataset_lib.load(config).events
  assert events.actions.tolist() == [[1, 0], [1, 1], [1, 0], [1, 0], [1, 0]]
  assert events.surface.tolist() == [0, 0, 1, 0, 0]
  config.own.actions = "click,share"
  with pytest.raises(ValueError, match="none named 'share' but user, item"):
    dataset_lib.load(config)


def test_an_impression_is_one_with_what_it_led_to(own):
  """Else the last event before a target would show the target itself."""
  at = 1_700_000_000
  events = "user,item,time,action,surface\n" + "".join(
    f"{user},{item},{at + seconds},{action},{surface}\n"
    for user, item, seconds, action, surface in [
      ("a", 7, 0, "impression", "home"),
      ("a", 8, 1, "impression", "home"),
      ("a", 7, 5, "click", "home"),
      ("a", 8, 6, "hide", "home"),
      ("a", 9, 10, "impression", "home"),
      ("a", 9, 20, "click", "search"),  # elsewhere
      ("a", 6, 30, "impression", "home"),
      ("a", 6, 30 + 1801, "click", "home"),  # too late
      ("b", 9, 8, "click", "home"),  # another's
    ]
  )
  dataset = dataset_lib.load(own(events, None))
  one, _ = dataset.events
  assert dataset.items.ids[one.item].tolist() == [8, 7, 8, 9, 9, 6, 6]
  notes = row_errors.load(dataset.folder).notes
  assert notes == {"impressions made one with the engagement they led to": 1}


@pytest.mark.parametrize(
  ("items", "fields", "message"),
  [
    ({"a.b": "x", "a_b": "y"}, {}, "'a_b' would be told as 'a_b'"),
    ({"dense": "red"}, {}, "'dense' would be told as 'dense'"),
    ({"item_type": "ad", "kind": "x"}, {"item_type": "kind"}, "'item_type', "),
  ],
)
def test_columns_of_items_are_not_mistaken(own, items, fields, message):
  config = own(items=[{"item": 7} | items], **fields)
  with pytest.raises(ValueError, match=message):
    dataset_lib.load(config)
  config.own.ignore = ",".join(items)
  if fields:
    config.own.ignore = "item_type"
  dataset_lib.load(config)


def test_a_category_may_have_any_name(own):
  names = dataset_lib.load(own(items=[{"item": 7, "place": "x"}])).vocabulary
  assert names.features == (schema.Feature("place", 2, 1),)
