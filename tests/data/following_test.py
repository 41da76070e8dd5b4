"""A newer log in the names of an earlier one."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import files
from pinrec_jax.data import catalog, following, histories


def encoded(rows, scales=None, **names):
  items = pd.DataFrame(
    rows, columns=["item", "item_type", "tag.0", "tag.1", "dense.price"]
  ).astype({"dense.price": np.float32})
  fields = {
    "actions": ("click", "save", "hide"),
    "outcomes": 2,
    "surfaces": ("unknown", "feed", "search"),
    "gaps": (1, 2, 3),
  }
  return catalog.encode(
    items,
    items["item"].to_numpy(),
    {"price": scales or (0.0, 1.0)},
    **fields | names,
  )


@pytest.fixture
def earlier():
  return encoded(
    [(7, "a", "x", "y", -1.0), (8, "b", "y", None, 1.0)], scales=(10.0, 5.0)
  )


@pytest.fixture
def newer():
  """New items and values, every code another, and the price in other units."""
  return encoded(
    [
      (9, "b", "z", "y", -1.0),
      (8, "b", "y", "x", 0.0),
      (7, "b", "x", None, 1.0),
    ],
    scales=(20.0, 10.0),
    actions=("save", "click"),
    surfaces=("unknown", "profile", "search", "feed"),
    validation_from=5,
    test_from=9,
    gaps=(9,),
  )


def test_an_equal_catalog_is_the_same(earlier, tmp_path):
  names = following.of_catalog(earlier)
  assert following.is_same(earlier, names)
  files.write_json(tmp_path / "names.json", earlier.names)
  assert following.is_same(earlier, following.load(tmp_path / "names.json"))
  other = dataclasses.replace(earlier, values={"tag": ["y", "x"]})
  assert not following.is_same(other, names)


def test_a_damaged_file_is_named(tmp_path):
  files.write_json(tmp_path / "names.json", {"values": {}})
  with pytest.raises(ValueError, match=r"names.json is damaged"):
    following.load(tmp_path / "names.json")


def test_features_keep_their_codes_and_new_values_are_missing(earlier, newer):
  found, codes = following.follow(newer, following.of_catalog(earlier))
  assert following.is_same(found, following.of_catalog(earlier))
  assert found.items.ids.tolist() == newer.items.ids.tolist()
  # x is 1 and y is 2, as before; z is new, and known values come first.
  assert found.items.categorical[1:].tolist() == [[2, 0], [2, 1], [1, 0]]
  assert found.items.item_type[1:].tolist() == [1, 1, 1]
  # Prices of 10, missing and 30, in the earlier mean 10 and deviation 5.
  assert found.items.dense[1:, 0].tolist() == [0.0, 0.0, 4.0]
  assert codes.notes == {
    "new values of tag, which count as missing": 1,
    "new surfaces, which count as unknown": 1,
  }
  names = found.vocabulary
  assert (names.validation_from, names.test_from) == (5, 9)
  assert names.gaps == (1, 2, 3)


def test_events_keep_their_codes(earlier, newer):
  _, codes = following.follow(newer, following.of_catalog(earlier))
  events = histories.of_columns(
    {
      "item": [1, 2, 3],
      "actions": [[1, 0], [0, 1], [1, 1]],
      "surface": [1, 2, 3],
      "item_type": [0, 0, 0],
    }
  )
  (found,) = following.Translated([events], codes)
  assert found.actions.tolist() == [[0, 1, 0], [1, 0, 0], [1, 1, 0]]
  assert found.surface.tolist() == [0, 2, 1]
  assert found.item_type.tolist() == [1, 1, 1]
  assert found.item.tolist() == [1, 2, 3]
  assert len(following.Translated([events], codes)[:1]) == 1


def _renamed(known, **names):
  return dataclasses.replace(
    known, vocabulary=dataclasses.replace(known.vocabulary, **names)
  )


@pytest.mark.parametrize(
  ("names", "expected"),
  [
    ({"actions": ("click", "buy", "hide")}, "the action 'buy'"),
    ({"outcomes": 3}, "action 'hide' is predicted in one of model and log"),
    ({"item_types": ("a", "c")}, "the item_type 'c'"),
  ],
)
def test_a_name_that_was_not_learned_is_refused(earlier, names, expected):
  with pytest.raises(ValueError, match=expected):
    following.follow(_renamed(earlier, **names), following.of_catalog(earlier))


def test_another_feature_is_refused(earlier):
  names = following.of_catalog(earlier)
  with pytest.raises(ValueError, match="the log has 'price' among the numbers"):
    following.follow(earlier, names._replace(numbers={}))
  with pytest.raises(ValueError, match=r"the log lacks 'size'.*size:ignore"):
    following.follow(
      earlier, names._replace(numbers={"size": (0, 1)} | earlier.numbers)
    )
  plain = _renamed(earlier, features=())
  with pytest.raises(ValueError, match="the log lacks 'tag' among the categor"):
    following.follow(plain, names)
