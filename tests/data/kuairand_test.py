import collections
import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import kuairand, schema

FILES = ("events.parquet", "history.parquet", "items.csv.gz")


def alike(one, other):
  """Compares two dataclasses or tuples of arrays, field by field."""
  if dataclasses.is_dataclass(one):
    one, other = vars(one).values(), vars(other).values()
  for left, right in zip(one, other, strict=True):
    np.testing.assert_array_equal(left, right)


@pytest.fixture
def copy(tmp_path):
  """The embedded excerpt in a folder that may be damaged."""
  return shutil.copytree(kuairand.EMBEDDED, tmp_path / "copy")


def test_excerpt_holds_what_its_readme_says(mini):
  time = np.concatenate([events.time for events in mini.events])
  assert len(mini.users) == 2402
  assert (time != schema.UNKNOWN_TIME).sum() == 70_114
  assert (time == schema.UNKNOWN_TIME).sum() == 102_500
  assert len(mini.items.ids) == 6_671 + 1
  assert mini.items.ids[schema.NO_ITEM] == 0


def test_candidates_are_the_videos_of_the_dated_log(mini):
  log = pd.read_parquet(kuairand.EMBEDDED / "events.parquet")
  found = mini.items.ids[mini.items.candidate]
  assert set(found) == set(log["video_id"])
  assert len(found) == 5_426


def by_user(name):
  """Returns the rows of an embedded table, as written, of each user."""
  rows = collections.defaultdict(list)
  for row in pd.read_parquet(kuairand.EMBEDDED / name).to_dict("records"):
    rows[row["user_id"]].append(row)
  return rows


def test_excerpt_is_read_as_written_in_stable_order(mini):
  log, past = by_user("events.parquet"), by_user("history.parquet")
  with_ties = [
    user
    for user, rows in log.items()
    if len({row["time_s"] for row in rows}) < len(rows)
  ]
  assert len(with_ties) > 100
  names = mini.vocabulary.actions
  for user in with_ties[:50]:
    expected = []
    for row in past[user]:
      bits = enumerate(("long_watch", "is_like"))
      labels = {name for bit, name in bits if row["flags"] >> bit & 1}
      expected.append((row["video_id"], 0, 0, labels))
    for row in sorted(log[user], key=lambda row: row["time_s"]):
      bits = enumerate(kuairand.MINI_BITS)
      labels = {name for bit, name in bits if row["actions"] >> bit & 1}
      expected.append((row["video_id"], row["time_s"], 1 + row["tab"], labels))
    events = mini.events[mini.users.index(str(user))]
    found = [
      (id_, time, surface, {names[n] for n in np.flatnonzero(actions)})
      for id_, time, surface, actions in zip(
        mini.items.ids[events.item],
        events.time,
        events.surface,
        events.actions,
        strict=True,
      )
    ]
    assert found == expected


def test_a_dislike_alone_is_no_engagement(mini):
  actions = np.concatenate([events.actions for events in mini.events])
  engaged = np.concatenate([events.engaged for events in mini.events])
  hate = mini.vocabulary.action("is_hate")
  others = np.delete(actions, hate, axis=1).any(-1)
  np.testing.assert_array_equal(engaged, others)
  assert (actions[:, hate].astype(bool) & ~others).sum() == 46


def test_undated_events_come_first_and_have_no_surface(mini):
  for events in mini.events:
    undated = events.time == schema.UNKNOWN_TIME
    np.testing.assert_array_equal(events.surface == 0, undated)
    assert (np.diff(undated.astype(int)) <= 0).all()


def test_titles_say_what_the_log_knows_of_a_video(mini):
  catalog = mini.catalog
  assert catalog.title(catalog.row_of["0"]) == (
    "87 s video, tag 39, author 7349781"
  )
  items = pd.DataFrame(
    {
      "video_type": ["AD", "NORMAL"],
      "video_duration": [np.nan, 9500.0],
      "tag": [np.nan, "12,39"],
      "author_id": [3, 4],
    }
  )
  assert kuairand._titles(items) == [
    "ad, author 3", "10 s video, tag 12 and 39, author 4"
  ]  # fmt: skip


def test_both_layouts_are_read_alike(raw, tmp_path):
  mini, pure = (
    dataset_lib.load(
      config_lib.Data(
        name=f"kuairand/{layout}",
        source=str(raw(layout)),
        prepared_dir=str(tmp_path / "prepared"),
      )
    )
    for layout in ("mini", "pure")
  )
  assert mini.users == pure.users == ("7", "8", "9")
  assert mini.vocabulary == pure.vocabulary
  assert mini.catalog.values == pure.catalog.values
  assert mini.catalog.titles == pure.catalog.titles
  alike(mini.items, pure.items)
  for one, other in zip(mini.events, pure.events, strict=True):
    alike(one, other)
  seven = mini.events[0]
  ids = mini.items.ids[seven.item]
  assert ids.tolist() == [50, 10, 20, 30, 10, 10]
  assert seven.engaged.tolist() == [True, False, True, False, True, True]
  assert mini.items.ids[mini.items.candidate].tolist() == [10, 20, 30, 40]


def test_item_features_keep_three_tags_and_scale_the_length(raw):
  _, items, _ = kuairand.LAYOUTS["mini"](raw("mini"))
  features = kuairand._features(items).set_index("item")
  tags = features[["tag.0", "tag.1", "tag.2"]]
  assert tags.loc[40].tolist() == ["5", "3", "4"]
  assert tags.loc[30].isna().all()
  assert features["dense.length_known"].tolist() == [1, 1, 0, 1, 1]
  seconds = np.asarray(features["dense.log_seconds"])
  assert seconds[2] == 0
  known = np.delete(seconds, 2)
  np.testing.assert_allclose(
    [known.mean(), known.std(ddof=1)], [0, 1], atol=1e-9
  )


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(copy, name):
  (copy / name).unlink()
  with pytest.raises(FileNotFoundError, match=f"{name} is missing; set"):
    kuairand.LAYOUTS["mini"](copy)


@pytest.mark.parametrize("name", FILES)
def test_altered_file_is_named_by_its_sum(copy, name):
  content = bytearray((copy / name).read_bytes())
  content[len(content) // 2] ^= 1
  (copy / name).write_bytes(content)
  with pytest.raises(
    ValueError, match=rf"{name} is corrupt: its SHA-256 digest is"
  ):
    kuairand.LAYOUTS["mini"](copy)


def cut(content):
  return content[: len(content) // 2]


def blot(content):
  return content[:100] + bytes(8) + content[108:]


@pytest.mark.parametrize(
  ("name", "damage"), [(name, cut) for name in FILES] + [("items.csv.gz", blot)]
)
def test_broken_file_without_sums_is_named(copy, name, damage):
  (copy / "SHA256SUMS").unlink()
  (copy / name).write_bytes(damage((copy / name).read_bytes()))
  with pytest.raises(ValueError, match=rf"{name} is corrupt: .*copy it again"):
    kuairand.LAYOUTS["mini"](copy)


@pytest.mark.parametrize("name", ["mini", "pure"])
def test_missing_column_is_named(raw, name, tmp_path):
  source = raw(name)
  path = next(source.glob("*events.parquet" if name == "mini" else "log_*"))
  pd.read_parquet(path).drop(columns="tab").to_parquet(path)
  builder = kuairand.Kuairand(
    data=config_lib.Data(source=str(source)),
    source=source,
    config=name,
    data_dir=str(tmp_path / "prepared"),
  )
  with pytest.raises(ValueError, match=r"lacks the column 'tab'; set data"):
    builder.download_and_prepare()
