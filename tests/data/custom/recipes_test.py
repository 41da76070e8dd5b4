"""The recipes of docs/custom_log.md, on tiny files of the same layouts."""

import json
import operator
import pathlib
import re

import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import validation
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import row_errors

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "custom_log.md"


OPTION = re.compile(r"--config\.([\w.]+)=([^\s`]*)")


def prepare(text, tmp_path, **given):
  """Returns the log of the options in a text, its row report and its Config."""
  config = config_lib.Config()
  config.data.name = "custom_log"
  config.data.prepared_dir = str(tmp_path / "prepared")
  config.data.max_bad_fraction = 0.0
  found = dict(OPTION.findall(text)) | given
  for name, value in found.items():
    if name in ("data.events", "data.items"):
      value = str(tmp_path / value)
    section, _, field = name.rpartition(".")
    target = operator.attrgetter(section)(config)
    assert hasattr(target, field), name
    setattr(target, field, value.strip("'"))
  validation.validate(config)
  dataset = dataset_lib.load(config.data)
  return dataset, row_errors.load(dataset.folder), config


@pytest.fixture
def prepared(tmp_path):
  """Returns the function from the heading of a recipe to a log."""

  def load(recipe):
    rest = PAGE.read_text("utf-8").partition(f"### {recipe}\n")[2]
    section = rest.partition("\n#")[0]
    assert OPTION.search(section), f"the page has no recipe {recipe}"
    return prepare(section, tmp_path)[:2]

  return load


def write(path, rows):
  """Writes rows in the format of a file."""
  path.parent.mkdir(parents=True, exist_ok=True)
  frame = pd.DataFrame(rows)
  if path.suffix == ".parquet":
    frame.to_parquet(path)
  elif path.suffix == ".csv":
    frame.to_csv(path, index=False)
  else:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def test_rees46(prepared, tmp_path):
  write(
    tmp_path / "2019-Oct.csv",
    [
      {
        "event_time": f"2019-10-01 00:0{n}:00 UTC",
        "event_type": ("view", "cart", "remove_from_cart", "purchase")[n % 4],
        "product_id": 44600062 + n % 3,
        "category_id": 2103807459595387724,
        "category_code": "electronics.smartphone" if n % 2 else None,
        "brand": "apple",
        "price": 35.79,
        "user_id": 541312140 + n % 2,
        "user_session": f"72d76fde-8bb3-4e00-8c23-a032dfed738{n % 2}",
      }
      for n in range(8)
    ],
  )
  dataset, errors = prepared("REES46")
  names = dataset.vocabulary
  assert names.outcome_names == ("view", "cart", "purchase")
  assert names.actions[3:] == ("remove_from_cart",)
  assert [f.name for f in names.features] == ["category_code", "brand"]
  assert names.dense == 1
  assert sum(map(len, dataset.events)) == 8
  assert "columns that are not read: category_id" in errors.messages


def test_retail_rocket(prepared, tmp_path):
  write(
    tmp_path / "events.csv",
    [
      {
        "timestamp": 1433221332117 + n,
        "visitorid": 257597 + n % 2,
        "event": ("view", "addtocart", "transaction")[n % 3],
        "itemid": 355908 + n,
        "transactionid": 4000.0 if n % 3 == 2 else None,
      }
      for n in range(6)
    ],
  )
  dataset, _ = prepared("RetailRocket")
  assert dataset.vocabulary.actions == ("view", "addtocart", "transaction")
  assert dataset.events[0].time[0] == 1433221332


def test_h_and_m(prepared, tmp_path):
  write(
    tmp_path / "transactions_train.csv",
    [
      {
        "t_dat": f"2018-09-2{n % 5}",
        "customer_id": f"000058a12d5b43e67d225668fa1f8d61{n % 2}",
        "article_id": f"0{663713001 + n % 3}",
        "price": 0.0508,
        "sales_channel_id": 1 + n % 2,
      }
      for n in range(10)
    ],
  )
  write(
    tmp_path / "articles.csv",
    [
      {
        "article_id": f"0{663713001 + n}",
        "product_type_name": "Underwear body",
        "index_name": "Lingeries/Tights",
        "detail_desc": 'Lace push-up body with "underwired" cups,\nand straps.',
      }
      for n in range(3)
    ],
  )
  dataset, errors = prepared("H&M")
  assert dataset.vocabulary.actions == ("buy",)
  assert dataset.items.ids[1] == "0663713001"
  assert dataset.items.candidate[1:].all()
  assert sum(map(len, dataset.events)) == 10
  assert [f.name for f in dataset.vocabulary.features] == [
    "product_type_name", "index_name",
  ]  # fmt: skip
  assert "times are days" in str(errors)


def test_yambda(prepared, tmp_path):
  write(
    tmp_path / "multi_event.parquet",
    [
      {
        "uid": 100 + n % 2,
        "timestamp": 39420 + 5 * n,
        "item_id": 8326270 + n,
        "is_organic": n % 2,
        "event_type": ("listen", "like", "dislike", "unlike", "undislike")[
          n % 5
        ],
        "played_ratio_pct": 100.0,
        "track_length_seconds": 170.0,
      }
      for n in range(10)
    ],
  )
  dataset, errors = prepared("Yambda")
  assert dataset.vocabulary.outcome_names == ("listen", "like")
  assert not errors.rejected
  assert "the log runs from second 39,420 to second 39,465" in errors.messages


def test_amazon_2018(prepared, tmp_path):
  lines = [
    f"01111{n},A{n % 2},{1 + n % 5}.0,{1353612262 + n}" for n in range(10)
  ]
  (tmp_path / "Books.csv").write_text("\n".join(lines))
  dataset, _ = prepared("Amazon 2018")
  assert dataset.users == ("A0", "A1")
  assert dataset.vocabulary.actions == ("1", "2", "3", "4", "5")
  assert sum(map(len, dataset.events)) == 10


def test_amazon_2023(prepared, tmp_path):
  write(
    tmp_path / "All_Beauty.jsonl",
    [
      {
        "rating": 5.0,
        "title": "Such a lovely scent",
        "images": [],
        "asin": f"B00YQ6X8E{n}",
        "parent_asin": f"B00YQ6X8E{n % 3}",
        "user_id": f"AGKHLEW2SOWHNMFQIJGBECAF7IN{n % 2}",
        "timestamp": 1588687728923 + n,
        "verified_purchase": True,
      }
      for n in range(6)
    ],
  )
  write(
    tmp_path / "meta_All_Beauty.jsonl",
    [
      {
        "main_category": "All Beauty",
        "title": "Howard LC0008",
        "price": "—" if n else 12.5,
        "store": "Howard Products",
        "categories": ["a", "b"],
        "details": {"Package Dimensions": "7 x 2", "UPC": "617390882781"},
        "parent_asin": f"B00YQ6X8E{n}",
      }
      for n in range(3)
    ],
  )
  dataset, errors = prepared("Amazon 2023")
  assert [f.name for f in dataset.vocabulary.features] == [
    "main_category", "store", "categories",
  ]  # fmt: skip
  assert dataset.vocabulary.dense == 1
  assert not errors.rejected


def test_otto_of_kaggle(prepared, tmp_path):
  write(
    tmp_path / "otto" / "train.parquet",
    [
      {
        "session": n % 3,
        "aid": 1517085 + n,
        "ts": 1659304800 + n,
        "type": n % 3,
      }
      for n in range(9)
    ],
  )
  dataset, _ = prepared("OTTO as Parquet")
  assert dataset.vocabulary.actions == ("0", "1", "2")


def test_sequences_with_attributes(prepared, tmp_path, monkeypatch):
  recipe = "Sequences with item2attributes.json"
  (tmp_path / "Beauty.txt").write_text(
    "1 1 2 3 4 5\n2 6 5 4 3\n3 2 4 6 1\n", "utf-8"
  )
  (tmp_path / "Beauty_item2attributes.json").write_text(
    json.dumps({str(item): [item % 2, 7] for item in range(1, 7)}), "utf-8"
  )
  monkeypatch.chdir(tmp_path)
  section = PAGE.read_text("utf-8").partition(f"### {recipe}\n")[2]
  exec(section.partition("```python\n")[2].partition("```")[0], {})
  dataset, _ = prepared(recipe)
  catalog = dataset.catalog
  first = dataset.events[dataset.users.index("1")]
  assert catalog.items.ids[first.item].tolist() == [1, 2, 3, 4, 5]
  assert [one.name for one in catalog.vocabulary.features] == ["attribute"]
  assert set(catalog.values["attribute"]) == {"0", "1", "7"}


def test_big_query(prepared, tmp_path):
  write(
    tmp_path / "export" / "events-000000000000.json",
    [
      {
        "user_pseudo_id": f"{n % 2}.16",
        "event_timestamp": str(1609459200000000 + n),
        "event_name": "view_item",
        "item": {"item_id": f"SKU{n}", "price": n},
      }
      for n in range(6)
    ],
  )
  dataset, errors = prepared("BigQuery")
  assert dataset.items.ids[1] == "SKU0"
  assert dataset.events[0].time[0] == 1609459200
  assert not errors.rejected


def test_taobao(prepared, tmp_path):
  (tmp_path / "UserBehavior.csv").write_text(
    "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,pv,1511561733\n"
    "2,2268318,2520377,buy,1511544071\n"
  )
  dataset, _ = prepared("Taobao: no header")
  assert dataset.vocabulary.actions == ("pv", "buy")
  assert [f.name for f in dataset.vocabulary.features] == ["category"]


AT = 1_650_000_000  # 2022-04-15


def rows(**columns):
  """Forty rows; a column may be changed, added or removed (None)."""
  found = []
  for n in range(40):
    row: dict = {"user": f"u{n % 5}", "item": f"i{n % 7}", "action": "click"}
    row["time"] = AT + 9000 * n
    for name, value in columns.items():
      row[name] = value(n) if callable(value) else value
    found.append({k: v for k, v in row.items() if v is not None})
  return found


def csv(found, separator=",", header=True):
  lines = [separator.join(map(str, row.values())) for row in found]
  return "\n".join([separator.join(found[0])] * header + lines)


def renamed(found, **names):
  return [{names.get(k, k): v for k, v in row.items()} for row in found]


def actions(dataset):
  return dataset.vocabulary.outcome_names


TABLE = [{"item": f"i{n}", "tag": ["a", f"b{n}"], "kind": "x|y"}
         for n in range(7)]  # fmt: skip
# For each row of the page's table: the files, what is to hold of the log, its
# report and its configuration.
ROWS = {
  "other names of columns": (
    {"a.csv": csv(renamed(rows(), user="uid", item="sku"))},
    lambda log, said, config: len(log.users) == 5,
  ),
  "no header line": (
    {"a.csv": csv([{"u": r["user"], "i": r["item"], "c": "x", "a": "buy",
                    "t": r["time"]} for r in rows()], header=False)},
    lambda log, said, config: actions(log) == ("buy",),
  ),
  "separators": (
    {"a.csv": csv(rows(), ";"), "b.csv": csv(rows(user="v"), "|"),
     "c.csv": csv(rows(user="w"), "\t")},
    lambda log, said, config: len(log.users) == 7,
  ),
  "a separator `:`": (
    {"a.csv": csv(rows(), ":")},
    lambda log, said, config: len(log.users) == 5,
  ),
  "one action, without": (
    {"a.csv": csv(rows(action=None))},
    lambda log, said, config: actions(log) == ("buy",),
  ),
  "one action, beside": (
    {"a.csv": csv(rows(action=lambda n: f"note {n}"))},
    lambda log, said, config: actions(log) == ("buy",),
  ),
  "a true/false column": (
    {"a.csv": csv(rows(action=None, click=lambda n: n % 2, save="true"))},
    lambda log, said, config: log.events[0].actions.sum() == 12,
  ),
  "several actions in a row": (
    {"a.csv": csv(rows(action="click|save")),
     "b.csv": csv(rows(user="v", action='["click", "save"]'), ";"),
     "c.parquet": rows(user="w", action=["click", "save"])},
    lambda log, said, config: all(e.actions.all() for e in log.events),
  ),
  "only some actions": (
    {"a.csv": csv(rows(action=lambda n: ("buy", "cart", "hide")[n % 3]))},
    lambda log, said, config: log.vocabulary.actions[2:] == ("hide",),
  ),
  "no times: users": (
    {"a.csv": csv(rows(time=None, action=None))},
    lambda log, said, config: "the log has no times" in said,
  ),
  "no times, beside": (
    {"a.csv": csv(rows(time="morning"))},
    lambda log, said, config: "the log has no times" in said,
  ),
  "times from the start": (
    {"a.csv": csv(rows(time=lambda n: n // 8))},
    lambda log, said, config: "to second 345,600" in said,
  ),
  "days instead": (
    {"a.csv": csv(rows(time="2022-04-15", item="i"))},
    lambda log, said, config: sum(map(len, log.events)) == 40,
  ),
  "users who repeat": (
    {"a.csv": csv(rows(item=lambda n: n % 2))},
    lambda log, said, config: config.index.filter_seen == "nothing",
  ),
  "item features in the events": (
    {"a.csv": csv(rows(category="c", price=lambda n: n % 7))},
    lambda log, said, config: log.vocabulary.dense == 1,
  ),
  "a table of items": (
    {"a.csv": csv(rows()), "../items.jsonl": TABLE},
    lambda log, said, config: (
      [f.slots for f in log.vocabulary.features] == [2, 2]
    ),
  ),
  "objects of JSON": (
    {"a.jsonl": rows(item=lambda n: {"id": f"i{n % 7}"}),
     "b.parquet": rows(user="v", item=lambda n: {"id": f"i{n % 7}"})},
    lambda log, said, config: len(log.items.ids) == 8,
  ),
  "a folder of Spark": (
    {"date=2023-11-14/p.parquet": rows(time=None), "_SUCCESS": "",
     "date=2023-11-15/p.parquet": rows(time=None)},
    lambda log, said, config: "to 2023-11-15 00:00:00 UTC" in said,
  ),
  "a test period": (
    {"a.csv": csv(rows())},
    lambda log, said, config: log.vocabulary.test_from == 1650240000,
  ),
}  # fmt: skip


def table():
  """Returns the options of each row of the page's table."""
  text = PAGE.read_text("utf-8").partition("| your log | options |\n")[2]
  lines = text.partition("\n\n")[0].splitlines()[1:]
  return dict(re.split(r"(?<!\\)\|", line.strip("| "))[:2] for line in lines)


def test_every_row_of_the_table_has_a_test():
  assert len(table()) == len(ROWS)
  for name in ROWS:
    assert len([text for text in table() if text.startswith(name)]) == 1, name


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_table(name, tmp_path):
  files, holds = ROWS[name]
  (options,) = (o for text, o in table().items() if text.startswith(name))
  (tmp_path / "log").mkdir()
  for path, content in files.items():
    if isinstance(content, str):
      (tmp_path / "log" / path).write_text(content, encoding="utf-8")
    else:
      write(tmp_path / "log" / path, content)
  log, errors, config = prepare(options, tmp_path, **{"data.events": "log"})
  assert not errors.rejected
  assert holds(log, str(errors), config)
