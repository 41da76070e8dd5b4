import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import kuairand, kuairand_csv, row_errors, splits

DAY_ONE, DAY_TWO = 1650000000000, 1651334400000


@pytest.fixture
def source(tables):
  return tables("1k")


def load(source, variant, tmp_path):
  return dataset_lib.load(
    config_lib.Data(
      name=f"kuairand/{variant}",
      source=str(source),
      prepared_dir=str(tmp_path / "prepared"),
    )
  )


def told(dataset, user):
  """Returns a user's events as rows of what the tables say."""
  events = dict(zip(dataset.users, dataset.events, strict=True))[user]
  names = dataset.vocabulary.actions
  return [
    (id_, time, surface, {names[n] for n in np.flatnonzero(actions)}, engaged)
    for id_, time, surface, actions, engaged in zip(
      dataset.items.ids[events.item].tolist(),
      events.time.tolist(),
      [dataset.vocabulary.surfaces[n] for n in events.surface],
      events.actions,
      events.engaged.tolist(),
      strict=True,
    )
  ]


@pytest.mark.parametrize("variant", ["1k", "pure"])
def test_standard_log_is_read_by_the_millisecond(tables, variant, tmp_path):
  dataset = load(tables(variant), variant, tmp_path)
  # Nothing of the random log: neither user 9 nor video 40.
  assert dataset.users == ("7", "8")
  one, two = DAY_ONE // 1000, DAY_TWO // 1000
  assert told(dataset, "7") == [
    (10, one + 5, "tab_0", set(), False),
    (10, two, "tab_4", {"is_like", "is_hate"}, True),
    (30, two, "tab_14", {"long_view"}, True),
    (20, two, "tab_1", {"is_hate"}, False),
  ]
  assert told(dataset, "8") == [(20, one, "tab_1", {"is_click"}, True)]
  errors = row_errors.load(dataset.folder)
  assert (errors.rows, errors.dropped) == (6, {"duplicate": 1})
  assert errors.rejected == 0


def test_videos_are_those_of_the_log_with_their_features(source, tmp_path):
  dataset = load(source, "1k", tmp_path)
  assert dataset.items.ids.tolist() == [0, 10, 20, 30]
  assert dataset.items.candidate.tolist() == [False, True, True, True]
  names = [f.name for f in dataset.vocabulary.features]
  assert names == ["author", "upload_type", "music", "music_type", "tag"]
  assert dataset.catalog.values["tag"] == ["3", "4"]
  assert dataset.catalog.values["author"] == ["1", "2"]
  assert dataset.items.categorical[1:].tolist() == [
    [1, 1, 1, 1, 1, 0], [1, 1, 2, 0, 1, 2], [2, 2, 3, 2, 0, 0]
  ]  # fmt: skip
  assert dataset.vocabulary.item_types == ("AD", "NORMAL")
  assert dataset.items.item_type[1:].tolist() == [1, 0, 1]


def test_split_is_that_of_pure(source, tmp_path):
  dataset = load(source, "1k", tmp_path)
  names = dataset.vocabulary
  assert splits.starts(names, "test") == kuairand.TEST_FROM == DAY_TWO // 1000
  assert splits.starts(names, "validation") == kuairand.VALIDATION_FROM
  assert splits.before(names, dataset.events[0], "test") == 1


def test_log_is_read_alike_in_small_parts(source, monkeypatch):
  whole = kuairand.LAYOUTS["1k"](source)
  monkeypatch.setattr(kuairand_csv, "ROWS", 2)
  parts = kuairand.LAYOUTS["1k"](source)
  for one, other in zip(whole[:2], parts[:2], strict=True):
    pd.testing.assert_frame_equal(one, other)
  per_row = whole[0].memory_usage(index=False).sum() / len(whole[0])
  assert per_row < 30


@pytest.mark.parametrize("column", ["tab", "time_ms", "is_like"])
def test_missing_column_of_the_log_is_named(source, column, tmp_path):
  path = source / "log_standard_4_22_to_5_08_1k.csv"
  pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
  with pytest.raises(ValueError, match=f"lacks the column '{column}'; set"):
    load(source, "1k", tmp_path)


def test_missing_column_of_the_videos_is_named(source, tmp_path):
  path = source / "video_features_basic_1k.csv"
  pd.read_csv(path).drop(columns="tag").to_csv(path, index=False)
  with pytest.raises(ValueError, match="lacks the column 'tag'; set"):
    load(source, "1k", tmp_path)


@pytest.mark.parametrize(
  ("old", "new", "why"),
  [
    ("1651334400100", "yesterday", "invalid literal"),
    ("1651334400100", "", "NA values"),
    (",14\n", ",15\n", "tab is 15, not between 0 and 14"),
    (",4\n", ",4,0\n", "Expected 19 fields"),
    (",0,0,14\n", "\n", "NA values"),
  ],
)
def test_corrupt_log_is_named(source, old, new, why, tmp_path):
  path = source / "log_standard_4_22_to_5_08_1k.csv"
  text = path.read_text()
  assert old in text
  path.write_text(text.replace(old, new, 1))
  with pytest.raises(ValueError, match=rf"{path.name} is corrupt: .*{why}"):
    load(source, "1k", tmp_path)


@pytest.mark.parametrize("name", kuairand_csv.ARCHIVES["1k"].members)
def test_missing_file_is_named(source, name, tmp_path):
  (source / name).unlink()
  with pytest.raises(FileNotFoundError, match=f"{name} is missing; set"):
    load(source, "1k", tmp_path)


def test_video_without_a_row_is_named(source, tmp_path):
  path = source / "video_features_basic_1k.csv"
  pd.read_csv(path).iloc[1:].to_csv(path, index=False)
  with pytest.raises(ValueError, match="item 10 of the log is not in the item"):
    load(source, "1k", tmp_path)
