"""The rules of docs/custom_log.md, from files to events."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import validation
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import row_errors, schema

AT = 1_650_000_000


def rows(count=20, **columns):
  """Clicks of five users; columns may be added, changed or removed (None)."""
  found = []
  for n in range(count):
    row: dict = {"user": f"u{n % 5}", "item": f"i{n % 7}", "action": "click"}
    row["time"] = AT + 60 * n
    for name, value in columns.items():
      row[name] = value(n) if callable(value) else value
    found.append({k: v for k, v in row.items() if v is not None})
  return found


def text(found, separator=",", header=None):
  """Returns rows as separated text."""
  names = [*found[0]]
  lines = [separator.join(str(row.get(n, "")) for n in names) for row in found]
  return "\n".join([separator.join(header or names), *lines]) + "\n"


# 1. Lines inside a quote that is not closed.


def test_two_lone_quotes_lose_nothing_silently(load, custom):
  lines = text(rows(200, title=lambda n: f"Monitor {n}")).splitlines()
  lines[6] = lines[6].replace("Monitor", '"Monitor')
  lines[31] = lines[31].replace("Monitor", '"Monitor')
  csv = "\n".join(lines) + "\n"
  with pytest.raises(ValueError, match="26 of 200 rows are bad") as error:
    dataset_lib.load(custom(csv))
  assert "line inside a quote that is not closed" in str(error.value)
  assert "events.csv:7 to 32, from" in str(error.value)
  dataset, errors = load(csv, max_bad=0.5)
  assert sum(map(len, dataset.events)) == 200 - 26
  dataset, errors = load(csv.replace(",", "\t"), ending=".tsv")
  assert sum(map(len, dataset.events)) == 200
  assert not errors.rejected


# 2. Files without a header.


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz"])
@pytest.mark.parametrize(
  "fields",
  [
    {},
    {"user": "1", "item": "2268318", "time": "1511544070", "action": "pv"},
    {"user": "1", "item": "2268318"},
  ],
)
def test_a_header_that_is_missing_is_noticed(custom, ending, fields):
  content = "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,pv,1511561733\n"
  if ending == ".tsv":
    content = content.replace(",", "\t")
  config = custom(
    content, ending=".csv" if "gz" in ending else ending, **fields
  )
  with pytest.raises(ValueError, match=r"row 1 of events.* looks like data"):
    dataset_lib.load(config)
  for name, value in (("user", "user"), ("item", "item"), ("time", "time")):
    setattr(config.custom, name, value)
  config.custom.action = "action"
  config.custom.header = "user, item, category, action, time"
  dataset = dataset_lib.load(config)
  assert dataset.items.ids[dataset.events[0].item].tolist() == [
    2268318,
    2333346,
  ]
  assert dataset.vocabulary.actions == ("pv",)


def test_words_that_are_values_of_their_columns_are_not_a_header(custom):
  content = "ann,book,click\nann,pen,click\nbob,book,save\n"
  for fields in ({}, {"user": "ann", "item": "book", "action": "click"}):
    with pytest.raises(ValueError, match=r"looks like data|no such column"):
      dataset_lib.load(custom(content, **fields))


@pytest.mark.parametrize(
  ("line", "fields"),
  [
    (lambda n: f"user_{n},item_{n}", {"user": "user_0", "item": "item_0"}),
    (lambda n: f"B{n:07},U-{n}-x", {"user": "U-0-x", "item": "B0000000"}),
    (lambda n: f"{'ab'[n % 2]},{'x' * (n + 1)}", {"user": "a", "item": "x"}),
  ],
)
def test_ids_that_are_named_as_columns_are_not_a_header(custom, line, fields):
  content = "\n".join(map(line, range(20)))
  with pytest.raises(ValueError, match="looks like data"):
    dataset_lib.load(custom(content, **fields))


def test_a_header_under_other_names_is_not_a_row(custom):
  names = "uid,iid,act,ts"
  fields = {"user": "uid", "item": "iid", "action": "act", "time": "ts"}
  config = custom(text(rows()), header=names, **fields)
  with pytest.raises(
    ValueError, match=r"row 1 of events\.csv looks like a head"
  ):
    dataset_lib.load(config)


# 3. Ids that are not ids.


@pytest.mark.parametrize(
  "bad", [{"id": "i1"}, [1, 2], ["u1"], True, {}, [], [[1]]]
)
@pytest.mark.parametrize("field", ["user", "item"])
def test_nested_ids_are_bad_rows(custom, load, bad, field):
  found = rows()
  found[3][field] = bad
  with pytest.raises(ValueError, match="1 of 20 rows are bad"):
    dataset_lib.load(custom(found))
  _, errors = load(found, max_bad=0.1)
  assert errors.counts == {f"{field} is not an id": 1}
  assert errors.examples[f"{field} is not an id"] == [
    f"events.jsonl:4 {field}={bad!r}"
  ]


@pytest.mark.parametrize("field", ["action", "surface", "session"])
def test_objects_are_not_names(load, field):
  found: list[dict[str, Any]] = [row | {field: "click"} for row in rows()]
  found[3][field] = {"name": "click"}
  _, errors = load(found, max_bad=0.1)
  assert errors.counts == {f"{field} is not a name": 1}


def test_features_that_are_objects_are_missing(load):
  table: list[dict[str, Any]] = [
    {"item": f"i{n}", "tag": f"t{n}"} for n in range(7)
  ]
  table[3]["tag"], table[4]["tag"] = {"a": 1}, [{"a": 1}]
  found = rows(kind=lambda n: {"a": 1} if n == 3 else "k")
  dataset, errors = load(found, table, item_columns="kind")
  assert sorted(dataset.catalog.values["tag"]) == ["t0", "t1", "t2", "t5", "t6"]
  assert errors.notes["items whose tag is an object; it is missing"] == 2
  assert errors.notes["rows whose kind is an object; it is missing"] == 1


def test_a_field_of_an_object_may_be_named_with_a_dot(load, shown):
  found = rows(
    user=lambda n: {"id": f"u{n % 5}"}, item=lambda n: {"a": {"b": n}}
  )
  dataset, errors = load(found, user="user.id", item="item.a.b")
  assert shown(dataset)["u1"][:2] == [(1, AT + 60), (6, AT + 360)]
  assert not errors.messages[2:]


# 4. One item, however it is written; missing is missing.


@pytest.mark.parametrize(
  "types", [{"item": float}, {"item": "Int64"}, {"item": str}, {"item": object}]
)
def test_whole_floats_are_integers(custom, shown, tmp_path, types):
  found = pd.DataFrame(rows(item=lambda n: n % 7, user=lambda n: n % 5))
  config = custom("", "item,tag\n" + "".join(f"{n},t\n" for n in range(7)))
  path = tmp_path / "events.parquet"
  found.astype(types).to_parquet(path)
  config.events = str(path)
  dataset = dataset_lib.load(config)
  assert dataset.users == ("0", "1", "2", "3", "4")
  assert dataset.items.ids[1:].tolist() == list(range(7))
  assert dataset.items.candidate[1:].all()
  found["item"] = found["item"].astype(float).map(lambda x: f"{x:.2f}")
  found.to_csv(tmp_path / "log.csv", index=False)
  config.events = str(tmp_path / "log.csv")
  assert shown(dataset_lib.load(config)) == shown(dataset)


@pytest.mark.parametrize(
  "value", ["nan", "NULL", "NA", "None", "", "\\N", "N/A"]
)
@pytest.mark.parametrize("field", ["user", "item"])
def test_missing_ids_are_bad_rows(load, value, field):
  found = rows()
  found[3][field] = value
  for given in (found, text(found)):
    dataset, errors = load(given, max_bad=0.1)
    assert errors.counts == {f"no {field}": 1}
    assert sum(map(len, dataset.events)) == 19


def test_a_table_of_other_items_is_refused(custom, load):
  with pytest.raises(
    ValueError, match=r"20 of 20 events .*'i0'.*'7'; use the same"
  ):
    dataset_lib.load(custom(rows(), "item\n7\n8\n"))
  some = "item\n" + "".join(f"i{n}\n" for n in range(5))
  _, errors = load(rows(), some)
  assert errors.notes == {"events of items that are not in data.items": 5}


# 5. Times.


@pytest.mark.parametrize(
  "days",
  [
    (20231114, 20231115),
    ("20231114", "20231115"),
    ("2023-11-14", "2023-11-15"),
  ],
)
def test_dates_that_look_like_numbers_are_dates(load, days):
  dataset, errors = load(rows(time=lambda n: days[n % 2]))
  assert {*dataset.events[0].time.tolist()} == {1699920000, 1700006400}
  assert errors.messages[:2] == [
    "actions that are predicted: click (20)",
    "the log runs from 2023-11-14 00:00:00 UTC to 2023-11-15 00:00:00 UTC",
  ]


@pytest.mark.parametrize(
  "times", [(2022, 2023), (0, 100), (1e6, 2e6), (202211, 202312)]
)
def test_a_log_that_starts_before_1990_is_questioned(load, times):
  low, high = times
  dataset, errors = load(rows(time=lambda n: low + (high - low) * n / 20))
  assert sum(map(len, dataset.events)) == 20
  assert re.search(
    r"before 1990.*Do its times count from the start of the log\? Then set "
    r"config\.data\.custom\.time_unit",
    str(errors),
  )
  assert all((events.time > 0).all() for events in dataset.events)


def test_some_early_times_in_a_log_are_bad_rows(load):
  found = rows()
  for place, value in ((2, 0), (5, 1), (9, 100_000_000)):
    found[place]["time"] = value
  _, errors = load(found, max_bad=0.5)
  assert errors.counts == {"time before 1990": 3}
  assert errors.examples["time before 1990"] == [
    "events.jsonl:3 time=0", "events.jsonl:6 time=1",
    "events.jsonl:10 time=100000000",
  ]  # fmt: skip


@pytest.mark.parametrize("unit", ["seconds", "minutes", "hours", "days"])
def test_times_may_count_from_the_start(load, unit):
  size = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}[unit]
  dataset, errors = load(
    rows(time=lambda n: n), time_unit=unit, validation_from="10", test_from="15"
  )
  events = dataset.events[0]
  assert np.diff(events.time).tolist() == [5 * size] * 3
  names = dataset.vocabulary
  assert names.test_from - names.validation_from == 5 * size
  assert (events.time < names.test_from).tolist() == [True, True, True, False]
  assert not errors.rejected
  assert "1990" not in str(errors)


def test_files_without_times_are_read_beside_others(custom, tmp_path):
  folder = tmp_path / "log"
  folder.mkdir()
  for name, time in (("1.csv", AT), ("2.csv", None)):
    pd.DataFrame(rows(time=time)).to_csv(folder / name, index=False)
  config = custom("")
  config.events = str(folder)
  dataset = dataset_lib.load(config)
  errors = row_errors.load(dataset.folder)
  assert sum(map(len, dataset.events)) == 40
  assert errors.notes["rows of files without times"] == 20
  assert not errors.rejected
  undated = sum(int((events.time == 0).sum()) for events in dataset.events)
  assert undated == 20


# 6. Columns that are not read; features of items in the events.


def test_columns_that_are_not_read_are_named(load):
  _, errors = load(rows(category="c", price=3))
  assert "columns that are not read: category, price" in errors.messages


def test_items_may_be_described_in_the_events(load):
  found = rows(
    category=lambda n: "" if n < 7 else f"c{n % 7}|d",
    price=lambda n: "—" if n == 0 else n % 7,
  )
  dataset, errors = load(
    text(found), item_columns="category,price", column_types="price:number"
  )
  assert dataset.vocabulary.features == (schema.Feature("category", 9, 2),)
  values = dataset.catalog.values["category"]
  for row, key in enumerate(dataset.items.ids[1:], start=1):
    first, second = dataset.items.categorical[row]
    assert values[first - 1] == f"c{key[1]}"
    assert values[second - 1] == "d"
  # The first price of i0 cannot be read, and is missing.
  assert np.isfinite(dataset.items.dense).all()
  assert "not read" not in str(errors)
  assert errors.notes["items whose price is not a number; it is missing"] == 1


def test_features_of_events_and_of_a_table_are_joined(load, custom):
  table = "item,tag\n" + "".join(f"i{n},t{n}\n" for n in range(7))
  found = rows(category=lambda n: f"c{n % 7}")
  dataset, _ = load(found, table, item_columns="category")
  assert [f.name for f in dataset.vocabulary.features] == ["tag", "category"]
  with pytest.raises(
    ValueError, match=r"item_columns names 'tag', and data\.items"
  ):
    dataset_lib.load(custom(rows(tag="x"), table, item_columns="tag"))


# 8. Separators.


@pytest.mark.parametrize("separator", [";", "|", "\t", ",", ":", " ", "\x01"])
def test_separators_are_found(load, shown, separator):
  expected = shown(load(rows())[0])
  assert shown(load(text(rows(), separator))[0]) == expected


# 9. Columns that are missing are named at once, with the nearest names.


def test_missing_columns_are_named_at_once(custom):
  found = text(rows(), header=["User ID", "Item ", "action", "event_time"])
  with pytest.raises(ValueError, match="no such column") as error:
    dataset_lib.load(
      custom(found, item="product", session="visit", item_columns="categori")
    )
  said = str(error.value).splitlines()
  for line, (field, name, near) in zip(
    said,
    [
      ("item", "product", "'Item'"),
      ("user", "user", "'User ID'"),
      ("time", "time", "'event_time'"),
      ("session", "visit", ""),
      ("item_columns", "categori", ""),
    ],
    strict=True,
  ):
    del line
    own = [
      one for one in said if one.startswith(f"config.data.custom.{field} ")
    ]
    assert len(own) == 1
    assert f"names {name!r}" in own[0]
    assert near in own[0]
    assert "User ID, Item, action, event_time" in own[0]


@pytest.mark.parametrize(
  ("header", "field", "near"),
  [
    (["customer_id", "item", "action", "time"], "user", "customer_id"),
    (["user", "Product", "action", "time"], "item", "Product"),
    (["user", "item", "event_type", "time"], "action", "event_type"),
    (["user", "item", "action", "timestamp"], "time", "timestamp"),
    (["user", "item", "action", "DATE"], "time", "DATE"),
    (["user", "itme", "action", "time"], "item", "itme"),
    (["user", "item", "behavior", "ts"], "action", "behavior"),
  ],
)
def test_the_nearest_column_is_named(custom, header, field, near):
  found = text(rows(), header=header)
  with pytest.raises(ValueError, match="no such column") as error:
    dataset_lib.load(custom(found))
  (line,) = [
    x for x in str(error.value).splitlines() if f"custom.{field} " in x
  ]
  assert f"the nearest is {near!r}" in line


def test_one_joined_column_lists_the_separators(custom):
  with pytest.raises(ValueError, match=r"separate its columns by one of ',', "):
    dataset_lib.load(custom(text(rows(), "%")))


def test_columns_are_named_once(custom):
  for fields in ({"item_columns": "n,n"}, {"user": "item"}):
    with pytest.raises(ValueError, match="named before; name each column once"):
      dataset_lib.load(custom(rows(n=1), **fields))


def test_spaces_around_a_name_do_not_matter(load):
  found = text(rows(), header=[" user", "item\u200b ", "action", " time\xa0"])
  assert len(load(found)[0].users) == 5


# 10. Duplicates are not bad rows; days repeat.


def test_duplicates_are_dropped_and_are_not_bad(load):
  found = rows(200) + rows(60)
  dataset, errors = load(found)
  assert errors.rejected == 0
  assert errors.dropped == {"duplicate": 60}
  assert errors.examples["duplicate"][0] == "events.jsonl:201"
  assert sum(map(len, dataset.events)) == 200
  assert errors.figures["rows/dropped/duplicate"] == 60


@pytest.mark.parametrize("zone", [0, 3600 * 8, -1800])
@pytest.mark.parametrize("days", [1, 2, 40])
def test_repeats_within_a_day_are_kept(load, zone, days):
  day = AT - AT % 86400 - zone
  found = rows(40, time=lambda n: day + 86400 * (n % days), item=lambda n: "i")
  dataset, errors = load(found)
  assert not errors.dropped
  assert sum(map(len, dataset.events)) == 40
  assert "times are days" in str(errors)


@pytest.mark.parametrize("other", ["2022-04-15T00:00:00+02:00", AT])
def test_days_in_summer_and_a_few_times_are_days(load, other):
  found = rows(40, time="2022-03-15T00:00:00+01:00", item="i")
  for row in found[:20] if isinstance(other, str) else found[:2]:
    row["time"] = other
  dataset, errors = load(found)
  assert not errors.dropped
  assert sum(map(len, dataset.events)) == 40
  assert "times are days" in str(errors)


# 11. Several actions in one row.


@pytest.mark.parametrize(
  "actions",
  [
    ["click", "save"], "click|save", '["click", "save"]', "['click','save']",
    "click, save", "click,save", "['click' 'save']", "{click,save}",
    ["click", None, "save"], [["click"], ["save"]],
  ],
)  # fmt: skip
def test_a_row_may_have_several_actions(load, actions):
  found = rows(action=lambda n: actions if n % 2 else ["click"])
  for fields in ({"actions": "click,save"}, {}):
    dataset, errors = load(found, **fields)
    assert dataset.vocabulary.actions == ("click", "save")
    assert sum(
      [e.actions.sum(0) for e in dataset.events], np.zeros(2)
    ).tolist() == [20, 10]
    assert not errors.rejected


def test_lists_of_parquet_are_actions(custom, tmp_path):
  found = pd.DataFrame(rows(action=lambda n: ["click", "save"][: 1 + n % 2]))
  found.to_parquet(tmp_path / "events.parquet")
  config = custom("", actions="save,click")
  config.events = str(tmp_path / "events.parquet")
  dataset = dataset_lib.load(config)
  assert sum(
    [e.actions.sum(0) for e in dataset.events], np.zeros(2)
  ).tolist() == [10, 20]


# 12. Folders as other programs write them.


def test_a_folder_of_spark_is_a_log(custom, tmp_path):
  folder = tmp_path / "log"
  for day in (14, 15):
    part = folder / f"date=2023-11-{day}"
    part.mkdir(parents=True)
    pd.DataFrame(rows(time=None, item=lambda n: n)).to_parquet(
      part / "part-0.PARQUET"
    )
  for name in ("_SUCCESS", "_committed_1", "part-9.parquet", "README.md"):
    (folder / name).write_text("# x" if "R" in name else "")
  config = custom("", time="date")
  config.events = str(folder)
  dataset = dataset_lib.load(config)
  assert sum(map(len, dataset.events)) == 40
  assert {*dataset.events[0].time.tolist()} == {1699920000, 1700006400}
  said = row_errors.load(dataset.folder).messages
  assert (
    "files of data.events that are not read: README.md, _SUCCESS" not in said
  )
  assert any("README.md" in message for message in said)


# 13. Logs with little in them.


def test_a_log_of_pairs_needs_no_options(load):
  dataset, errors = load(text(rows(time=None, action=None)))
  assert dataset.vocabulary.actions == ("interaction",)
  assert all(events.engaged.all() for events in dataset.events)
  assert [m for m in errors.messages if "no times" in m]
  assert errors.messages == [
    "actions that are predicted: interaction (20)",
    "the log has no times: its rows are in order, and sessions and time "
    "offsets are unknown",
  ]


def test_one_action_may_be_named(load):
  dataset, _ = load(text(rows(action=None)), actions="buy")
  assert dataset.vocabulary.actions == ("buy",)
  assert all(events.engaged.all() for events in dataset.events)


def test_actions_are_found_in_the_log(load):
  kinds = ["view"] * 5 + ["cart"] * 3 + ["buy", "impression"]
  found = rows(100, action=lambda n: kinds[n % 10], item=lambda n: n)
  dataset, errors = load(found)
  assert dataset.vocabulary.actions == ("view", "cart", "buy")
  assert dataset.vocabulary.outcomes == 3
  assert errors.messages[0] == (
    "actions that are predicted: view (50), cart (30), buy (10)"
  )
  dataset, _ = load(found, signals="view")
  assert dataset.vocabulary.actions == ("cart", "buy", "view")
  assert dataset.vocabulary.outcomes == 2


@pytest.mark.parametrize(
  ("columns", "fields", "message"),
  [
    ({"action": lambda n: f"a{n}"}, {}, "20 different actions, such as a0"),
    ({"action": ""}, {}, "no row has an action to predict .found: nothing"),
    ({"action": "impression"}, {}, "found: impression.*leave .*action empty"),
    ({}, {"signals": "click"}, "no row has an action to predict .found: click"),
    ({"action": "unspecified"}, {}, "'unspecified' cannot be budgeted"),
    ({}, {"actions": "click,click"}, "name each action once"),
    ({}, {"actions": "click", "signals": "click"}, "name each action once"),
    (
      {"action": None},
      {"actions": "a,b"},
      "leave it empty if every row is the",
    ),
    ({"action": None}, {"action": "kind"}, "action names 'kind'"),
  ],
)
def test_actions_that_cannot_be_used_are_named(
  custom, columns, fields, message
):
  with pytest.raises(ValueError, match=message):
    dataset_lib.load(custom(rows(**columns), **fields))


@pytest.mark.parametrize(
  "name", ["video:play", "$buy_{$", "<b>", "é", "a b", "1"]
)
def test_an_action_may_have_any_other_name(load, name):
  dataset, _ = load(rows(action=name))
  assert dataset.vocabulary.actions == (name,)


# 14. Features that cannot be read are missing; the item stays.


@pytest.mark.parametrize(
  "price", ["—", "NULL", "n/a", "", "12 EUR", "inf", None]
)
def test_a_bad_price_drops_no_item(load, price):
  table = [{"item": f"i{n}", "price": n} for n in range(7)]
  table[3]["price"] = price
  dataset, errors = load(rows(), table, column_types="price:number")
  assert dataset.items.candidate[1:].all()
  assert not errors.rejected
  place = dataset.items.ids.tolist().index("i3")
  assert dataset.items.dense[place] == 0  # The mean.


# 15. Columns that are there twice.


@pytest.mark.parametrize("twice", ["user", "item", "time", "action"])
def test_a_column_that_is_there_twice_is_named(custom, twice):
  names = ["user", "item", "action", "time", twice]
  found = text(rows(more="x"), header=names)
  with pytest.raises(
    ValueError, match=rf"events.csv has the column '{twice}' twice"
  ):
    dataset_lib.load(custom(found))


def test_a_column_that_is_not_read_may_be_there_twice(load):
  found = text(
    rows(a="x", b="y"), header=["user", "item", "action", "time", "n", "n"]
  )
  assert len(load(found)[0].users) == 5


def test_a_column_of_items_that_is_there_twice_is_named(custom):
  table = "item,tag,tag\n" + "".join(f"i{n},a,b\n" for n in range(7))
  with pytest.raises(ValueError, match=r"items.csv has the column 'tag' twice"):
    dataset_lib.load(custom(rows(), table))


# The configuration.


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    (
      {"user": "uid"},
      r"custom\.user names 'uid', and events.jsonl has no such",
    ),
    ({"item": ""}, r"custom\.item names '', and events.jsonl has"),
    ({"surface": "place"}, r"custom\.surface names 'place', and events.jsonl"),
    ({"test_from": "2023-11-14"}, "validation_from is ''; give a time such as"),
    ({"test_from": "x", "validation_from": "1"}, "test_from is 'x'; give"),
    ({"test_from": "2", "validation_from": "1", "time": ""}, "time is empty"),
    (
      {"test_from": "2023-11-14", "validation_from": "2023-11-15"},
      "not before test_from",
    ),
  ],
)
def test_a_configuration_that_does_not_fit_is_named(custom, fields, message):
  with pytest.raises(ValueError, match=message):
    dataset_lib.load(custom(rows(), **fields))


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"data.custom.column_types": "price"}, "column_types is 'price'; write"),
    ({"data.custom.column_types": "price:float"}, "'price:float'; write"),
    ({"data.custom.column_types": "price:number"}, "it describes item columns"),
    ({"data.custom.column_types": "a:title,b:title"}, "give the type title to"),
    ({"data.custom.test_from": "2022-05-01"}, "give both data.custom.valid"),
    ({"data.custom.text_embedder": "a:b"}, "name the text column in data.cust"),
    ({"data.name": "synthetic"}, "leave data.events and data.items empty"),
  ],
)
def test_fields_that_do_not_fit_are_named_before_the_work(fields, message):
  config = config_lib.replace(
    config_lib.Config(),
    **{"data.name": "custom_log", "data.events": "log.csv", **fields},
  )
  with pytest.raises(ValueError, match=re.escape(message)):
    validation.validate(config)


@pytest.mark.parametrize(
  "fields",
  [
    {"data.custom.column_types": "a:number,*:ignore", "data.items": "i.csv"},
    {"data.custom.column_types": "a:number", "data.custom.item_columns": "a"},
    {"data.custom.test_from": "2", "data.custom.validation_from": "1"},
  ],
)
def test_fields_that_fit_are_accepted(fields):
  config = config_lib.replace(
    config_lib.Config(),
    **{"data.name": "custom_log", "data.events": "log.csv", **fields},
  )
  validation.validate(config)


def test_files_without_good_rows_are_named(custom):
  config = custom(rows())
  config.events = ""
  with pytest.raises(ValueError, match=r"data\.events is empty; give a file"):
    dataset_lib.load(config)
  with pytest.raises(ValueError, match="have no good row"):
    dataset_lib.load(custom("user,item,time,action\n"))
  with pytest.raises(ValueError, match="have no good row"):
    dataset_lib.load(custom(rows(), "item\n\n"))
  with pytest.raises(ValueError, match="have no good row"):
    dataset_lib.load(custom(rows(action="hug"), actions="click"))
