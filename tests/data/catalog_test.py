import numpy as np
import pandas as pd
import pytest

from pinrec_jax.data import catalog, item_vectors


@pytest.fixture
def items():
  return pd.DataFrame(
    {
      "item": [7, 8, 9],
      "item_type": ["b", "a", "b"],
      "tag.0": ["x", "y", None],
      "tag.1": ["y", None, None],
      "rank": [9.0, np.nan, 4.5],
      "dense.length": [1.0, 2.0, 3.0],
    }
  )


def encode(items):
  return catalog.encode(
    items,
    np.array([8, 9]),
    actions=("click",),
    outcomes=1,
    surfaces=("unknown",),
    validation_from=1,
    test_from=2,
  )


def test_row_zero_is_no_item_and_code_zero_missing(items):
  known = encode(items)
  table = known.items
  assert table.ids.tolist() == [0, 7, 8, 9]
  assert known.vocabulary.item_types == ("a", "b")
  assert table.item_type.tolist() == [0, 1, 0, 1]
  assert table.candidate.tolist() == [False, False, True, True]
  assert table.dense.tolist() == [[0], [1], [2], [3]]
  # The slots of a feature share their codes: y is 2 in both.
  assert table.categorical.tolist() == [
    [0, 0, 0], [1, 2, 1], [2, 0, 0], [0, 0, 2],
  ]  # fmt: skip
  assert known.row_of == {"7": 1, "8": 2, "9": 3}


@pytest.mark.parametrize("log", ["world", "mini"])
def test_vocabulary_sizes_hold_every_code(log, request):
  known = request.getfixturevalue(log).catalog
  sizes = [f.size for f in known.vocabulary.features for _ in range(f.slots)]
  np.testing.assert_array_equal(
    known.items.categorical.max(0) < sizes, [True] * len(sizes)
  )
  for feature in known.vocabulary.features:
    assert feature.size == len(known.values[feature.name]) + 1


def test_features_told_again_have_the_same_codes(world):
  known = world.catalog
  column = 0
  told = [{} for _ in known.items.ids]
  for feature in known.vocabulary.features:
    for codes, features in zip(known.items.categorical, told, strict=True):
      own = codes[column : column + feature.slots]
      features[feature.name] = [
        known.values[feature.name][code - 1] for code in own if code
      ]
    column += feature.slots
  for codes, features in zip(known.items.categorical, told, strict=True):
    np.testing.assert_array_equal(known.encode(features), codes)


@pytest.mark.parametrize("value", [9, 9.0, "9", ["9"]])
def test_values_are_compared_as_text(items, value):
  assert encode(items).encode({"rank": value}).tolist() == [0, 0, 1]


@pytest.mark.parametrize("value", ["new", None, []])
def test_value_never_seen_is_missing(items, value):
  assert encode(items).encode({"tag": value}).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
  ("features", "message"),
  [
    ({"colour": "red"}, "unknown item feature 'colour'; .* has tag, rank"),
    ({"tag": ["x", "y", "z"]}, "'tag' has 3 values; give at most 2"),
  ],
)
def test_wrong_features_are_named(items, features, message):
  with pytest.raises(ValueError, match=message):
    encode(items).encode(features)


def test_item_listed_twice_is_named(items):
  items.loc[2, "item"] = 7
  with pytest.raises(ValueError, match="item 7 is listed twice"):
    encode(items)


@pytest.mark.parametrize("log", ["world", "mini"])
def test_saved_catalog_loads_the_same(log, request, tmp_path):
  known = request.getfixturevalue(log).catalog
  known.save(tmp_path / "new" / "folder")
  loaded = catalog.load(tmp_path / "new" / "folder")
  assert loaded.vocabulary == known.vocabulary
  assert loaded.values == known.values
  for one, other in zip(loaded.items, known.items, strict=True):
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)
  assert loaded.titles == known.titles


def test_titles_are_kept_beside_the_features(items, tmp_path):
  plain = encode(items)
  assert plain.titles is None
  assert plain.title(1) == ""
  known = encode(items.assign(title=["An oar", None, "Ein Böot"]))
  assert [known.title(row) for row in range(4)] == [
    "",
    "An oar",
    "",
    "Ein Böot",
  ]
  assert known.vocabulary == plain.vocabulary
  assert known.values_digest == plain.values_digest
  known.save(tmp_path)
  assert catalog.load(tmp_path).titles == known.titles
  assert encode(items.assign(title=None)).titles is None


def test_content_vectors_are_aligned_by_id(items, tmp_path):
  known, path = encode(items), tmp_path / "vectors.npz"
  np.savez(path, ids=[9, 70, 7], vectors=[[1, 2], [3, 4], [5, 6]])
  told = item_vectors.added(known, path)
  assert told.vocabulary.dense == 4
  assert told.items.dense.tolist() == [
    [0, 0, 0, 0], [1, 5, 6, 1], [2, 0, 0, 0], [3, 1, 2, 1],
  ]  # fmt: skip
  told.save(tmp_path)
  again = catalog.load(tmp_path)
  np.testing.assert_array_equal(again.items.dense, told.items.dense)


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    ({"ids": [7]}, "no arrays ids and vectors"),
    ({"ids": [7], "vectors": [1.0]}, r"shape \(1,\); give one row"),
    ({"ids": [7, 7], "vectors": [[1.0], [2.0]]}, "an id twice"),
    ({"ids": [7], "vectors": [[np.nan]]}, "not finite"),
    ({"ids": [70], "vectors": [[1.0]]}, "none of the log's items"),
  ],
)
def test_a_bad_file_of_vectors_is_named(items, tmp_path, arrays, message):
  path = tmp_path / "vectors.npz"
  np.savez(path, **arrays)
  with pytest.raises(ValueError, match=message):
    item_vectors.added(encode(items), path)
  with pytest.raises(FileNotFoundError, match=r"absent\.npz' is missing"):
    item_vectors.added(encode(items), tmp_path / "absent.npz")
