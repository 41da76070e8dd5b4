"""Item tables of a custom log."""

import time

import numpy as np
import pytest

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import schema

AT = 1_700_000_000
EVENTS = [
  {"user": f"u{n % 3}", "item": n % 4, "action": "click", "time": AT + n}
  for n in range(12)
]
ITEMS = [
  {"item": 0, "tag": ["a", "b"], "price": 3, "vec": [1, 2], "name": "an oar"},
  {"item": "1", "tag": "a|c", "price": 5, "vec": [1, 0], "name": "a boat"},
  {"item": 2, "price": None, "vec": None, "item_type": "ad"},
  {"item": 3.0, "tag": "['a', 'd']", "item_type": " "},
]


def embed(texts):
  """Stands in for a text model."""
  return np.array([[len(text), text.count("a")] for text in texts], float)


def test_columns_are_categories_unless_they_are_typed(load):
  dataset, _ = load(
    EVENTS, ITEMS, column_types="price:number,vec:vector,name:ignore"
  )
  assert dataset.vocabulary.features == (schema.Feature("tag", 5, 2),)
  assert dataset.vocabulary.item_types == ("ad", "item")
  assert dataset.items.item_type[1:].tolist() == [1, 1, 0, 1]
  assert dataset.items.categorical[1:].tolist() == [
    [1, 2], [1, 3], [0, 0], [1, 4],
  ]  # fmt: skip
  assert dataset.items.dense.shape == (5, 1 + 3)


def test_texts_are_embedded_by_a_function_of_the_user(custom, monkeypatch):
  monkeypatch.syspath_prepend(str(__file__).rpartition("/")[0])
  types = "name:text,price:ignore,vec:ignore"
  config = custom(
    EVENTS, ITEMS, column_types=types, text_embedder="items_test:embed"
  )
  dataset = dataset_lib.load(config)
  assert [feature.name for feature in dataset.vocabulary.features] == ["tag"]
  # An item without a text has no vector.
  assert dataset.items.dense[1:].tolist() == [
    [6, 2, 1], [6, 2, 1], [0, 0, 0], [0, 0, 0],
  ]  # fmt: skip
  for function, message in (
    ("no_such_module:embed", "cannot be imported"),
    ("items_test", "cannot be imported"),
    ("items_test:absent", "cannot be imported"),
    ("time:sleep", r"returned the shape \(1,\) for 2 texts"),
  ):
    config.custom.text_embedder = function
    if function == "time:sleep":
      monkeypatch.setattr(time, "sleep", np.shape)
    with pytest.raises(ValueError, match=message):
      dataset_lib.load(config)


def test_titles_are_read_for_people_and_not_for_the_model(load):
  ignore = "price:ignore,vec:ignore"
  dataset, errors = load(EVENTS, ITEMS, column_types=ignore)
  assert dataset.catalog.titles.to_pylist() == ["", "an oar", "a boat", "", ""]
  assert [feature.name for feature in dataset.vocabulary.features] == ["tag"]
  assert any("titles are read from the item column 'name'" in said
             for said in errors.messages)  # fmt: skip
  dataset, _ = load(EVENTS, ITEMS, column_types=f"{ignore},name:category")
  assert dataset.catalog.title(1) == "an oar"
  assert dataset.catalog.values["name"] == ["an oar", "a boat"]
  dataset, _ = load(EVENTS, ITEMS, column_types=f"{ignore},name:ignore")
  assert dataset.catalog.titles is None
  dataset, _ = load(EVENTS, ITEMS, column_types="*:ignore,tag:title")
  assert dataset.catalog.title(2) == "a|c"
  assert dataset.vocabulary.features == ()
  dataset, _ = load(EVENTS, ITEMS, column_types=f"{ignore},tag:title")
  assert dataset.catalog.title(2) == "a|c"
  assert "tag" not in dataset.catalog.values
  both = "*:ignore,tag:title,tag:category"
  dataset, _ = load(EVENTS, ITEMS, column_types=both)
  assert dataset.catalog.title(2) == "a|c"
  assert dataset.catalog.values["tag"] == ["a", "b", "c", "d"]


def test_titles_may_be_in_the_events(load, custom):
  rows = [{**event, "Title": f"no {event['item']}"} for event in EVENTS]
  dataset, _ = load(rows, item_columns="Title")
  assert dataset.catalog.title(3) == "no 2"
  assert dataset.vocabulary.features == ()
  config = custom(rows, item_columns="Title", column_types="Titel:title")
  with pytest.raises(ValueError, match='has "Titel:title", and the item col'):
    dataset_lib.load(config)
  with pytest.raises(ValueError, match=r"types names 'nmae', .* is 'name'"):
    dataset_lib.load(custom(EVENTS, ITEMS, column_types="nmae:title"))


def test_vectors_of_several_sizes_are_refused(custom):
  table = [{"item": n, "vec": [1] * (1 + n % 2)} for n in range(4)]
  with pytest.raises(ValueError, match=r"'vec' .* has vectors of \[1, 2\] num"):
    dataset_lib.load(custom(EVENTS, table, column_types="vec:vector"))
  table = [{"item": n, "vec": "x"} for n in range(4)]
  with pytest.raises(ValueError, match=r"'vec' .* has vectors of no numbers"):
    dataset_lib.load(custom(EVENTS, table, column_types="vec:vector"))


def test_more_values_than_slots_are_counted(load):
  table = [{"item": n, "tag": "|".join("abcdefg"[: 4 + n])} for n in range(4)]
  dataset, errors = load(EVENTS, table)
  assert dataset.vocabulary.features == (schema.Feature("tag", 6, 5),)
  assert errors.notes == {
    "items with more than 5 values of tag; the first 5 are kept": 2
  }


@pytest.mark.parametrize(
  ("items", "fields", "message"),
  [
    ({"a.b": "x", "a_b": "y"}, {}, "'a_b' would be the feature 'a_b'"),
    ({"dense": "red"}, {}, "'dense' would be the feature 'dense'"),
    (
      {"item_type": "ad", "kind": "x"},
      {"item_type": "kind"},
      "'item_type', wh",
    ),
  ],
)
def test_columns_that_would_be_mistaken_are_refused(
  custom, items, fields, message
):
  table = [{"item": n} | items for n in range(4)]
  config = custom(EVENTS, table, **fields)
  with pytest.raises(ValueError, match=message):
    dataset_lib.load(config)
  names = [*items] if not fields else ["item_type"]
  config.custom.column_types = ",".join(f"{name}:ignore" for name in names)
  dataset_lib.load(config)


def test_columns_that_are_missing_are_named_at_once(custom):
  table = [{"item": n, "weight": 1} for n in range(4)]
  config = custom(
    EVENTS, table, column_types="wieght:number,story:text", item_type="kind"
  )
  with pytest.raises(ValueError, match="no such column") as error:
    dataset_lib.load(config)
  said = str(error.value).splitlines()
  assert len(said) == 3
  assert "column_types names 'wieght'" in said[1]
  assert "the nearest is 'weight'" in said[1]


def test_a_category_may_have_any_name(load):
  table = [
    {"item": n, "place": "x", "count": 2.0, "row": None} for n in range(4)
  ]
  names = load(EVENTS, table)[0].vocabulary
  assert names.features == (
    schema.Feature("place", 2, 1), schema.Feature("count", 2, 1),
  )  # fmt: skip


def test_an_item_that_is_listed_twice_keeps_its_first_row(load):
  table = [{"item": n % 4, "tag": f"t{n}"} for n in range(6)]
  dataset, errors = load(EVENTS, table)
  assert errors.dropped == {"item listed before": 2}
  assert errors.examples["item listed before"] == [
    "items.jsonl:5", "items.jsonl:6",
  ]  # fmt: skip
  assert dataset.catalog.values["tag"] == ["t0", "t1", "t2", "t3"]
