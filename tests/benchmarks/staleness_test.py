"""The arms of the staleness benchmark, and their figures."""

import datetime
import itertools

import kuairand_days
import numpy as np
import pandas as pd
import pytest
import staleness
import staleness_arms
import staleness_figures
import staleness_walk

from pinrec_jax import files
from pinrec_jax.data import evaluation_cases, histories, splits
from pinrec_jax.training import daily

FIRST = datetime.date(2022, 4, 26)
START = kuairand_days.start(FIRST)


def events(*times, item=None, engaged=True):
  size = len(times)
  return histories.of_columns(
    {
      "item": np.arange(1, size + 1) if item is None else item,
      "actions": np.ones((size, 1)),
      "time": times,
      "engaged": np.full(size, engaged),
    }
  )


def case(past, targets, user="u"):
  return evaluation_cases.Case(user, past, targets)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
  """A folder with files in the form of KuaiRand-Pure."""
  folder = tmp_path_factory.mktemp("source")
  log = pd.DataFrame({"user_id": [1, 1, 2], "video_id": [7, 8, 7]})
  moments = [START - splits.DAY - 60, START - 1, START + 5]
  log["time_ms"] = np.array(moments) * 1000 + 700
  for name in (*kuairand_days.ACTIONS[:-1], kuairand_days.SIGNAL):
    log[name] = 0
  log["tab"], log["is_click"] = 1, [1, 0, 1]
  log.to_parquet(folder / kuairand_days.LOG)
  pd.DataFrame(
    {
      "user_id": [1, 3],
      "watch_seq": [[7, 9], [8]],
      "like_seq": [[9], []],
      "long_watch_seq": [[7, 9], []],
    }
  ).to_parquet(folder / kuairand_days.HISTORY)
  videos = pd.DataFrame({"video_id": [7, 8, 9], "tag": ["1,2", None, "3"]})
  videos["video_duration"] = [1000.0, None, 3000.0]
  for name in ("video_type", "author_id", "upload_type", "music_id"):
    videos[name] = 5
  videos["music_type"] = 1
  videos.to_csv(folder / kuairand_days.VIDEOS, index=False)
  return folder


def test_the_log_of_a_morning_has_all_earlier_days(source, tmp_path):
  kuairand_days.write(source, tmp_path)
  known = tmp_path / "until" / str(FIRST)
  assert {path.name for path in known.iterdir()} == {
    "earlier.parquet", "2022-04-25.parquet",
  }  # fmt: skip
  first = pd.read_parquet(known / "2022-04-25.parquet")
  # The last minute of the day before the log counts as its first day.
  assert first["time"].tolist() == [START - splits.DAY - 60, START - 1]
  assert first["is_click"].tolist() == [1, 0]
  past = pd.read_parquet(known / "earlier.parquet")
  assert past["item"].tolist() == [7, 9, 8]
  assert past["long_watch"].tolist() == [1, 1, 0]
  assert past["is_like"].tolist() == [0, 1, 0]
  assert past["time"].to_numpy().max() < first["time"].to_numpy().min()
  table = pd.read_csv(tmp_path / "items.csv", dtype=str)
  assert table["tag"].fillna("").tolist() == ["1|2", "", "3"]


def test_a_frozen_history_ends_on_the_first_morning():
  own = case(events(START - 2, START - 1, START + 9), events(START + 99))
  (old,) = staleness_arms.frozen([own], START)
  assert old.past.time.tolist() == [START - 2, START - 1]
  assert old.targets is own.targets


def test_a_list_leaves_out_what_the_user_has_seen():
  lists = np.array([[4, 2, 9, 7], [1, 2, 3, 4]])
  found = staleness_arms.without(lists, [np.array([2]), np.array([2, 3])], 3)
  assert found.tolist() == [[4, 9, 7], [1, 4, -1]]


def test_weights_of_engagements_by_age():
  age = np.array([0, splits.DAY, splits.DAY + 1])
  assert staleness_arms.weights(age, 0).tolist() == [1, 1, 0]
  half = staleness_arms.weights(age, splits.DAY)
  np.testing.assert_allclose(half, [1, 0.5, 0.5], atol=1e-5)


def test_hits_of_users_and_of_their_targets_agree():
  cases = [
    case(events(), events(1, 2, item=[3, 4])),
    case(events(), events(1, item=[5]), "v"),
  ]
  lists = np.array([[4, 3], [6, 7]])
  found = staleness_arms.hits(lists, cases)
  assert found.tolist() == [[2, 0], [2, 0]]
  single = np.array([[1, 0, 0], [1, 1, 0]])
  assert staleness_arms.by_user(single, cases).tolist() == [[1, 0], [2, 0]]


def test_users_of_several_days_are_pooled():
  days = [
    staleness.OfDay(["a", "b"], np.array([1, 2]), {"x": np.array([[[1, 1]]])}),
    staleness.OfDay(["b", "c"], np.array([3, 1]), {"x": np.array([[[2, 0]]])}),
  ]
  hits, targets = staleness.pooled(days)
  assert hits["x"].tolist() == [[[1, 3, 0]]]
  assert targets.tolist() == [1, 5, 1]


def test_intervals_are_paired():
  rng = np.random.default_rng(0)
  targets = rng.integers(1, 4, 400)
  one = rng.binomial(targets, 0.3, (3, 400))
  same = staleness_figures.compared(one, one, targets)
  assert same == [0, 0, 0]
  half = staleness_figures.compared(one, 2 * one, targets)
  np.testing.assert_allclose(half, [-0.5] * 3)
  mean, low, high = staleness_figures.interval(
    staleness_figures.recalls(one, targets)
  )
  assert mean == pytest.approx(one.sum() / (3 * targets.sum()))
  # The standard error of a fraction of about 800 targets.
  assert high - low == pytest.approx(
    3.92 * (0.21 / targets.sum()) ** 0.5, rel=0.4
  )


def test_a_refused_update_leaves_the_model_before(tmp_path, monkeypatch):
  days = kuairand_days.days(FIRST, FIRST + 3 * kuairand_days.ONE_DAY)
  walk = staleness_walk.Walk(tmp_path, 0, days)
  folder = tmp_path / "seed0" / "daily"
  folder.mkdir()
  ran: list[str] = []
  monkeypatch.setattr(walk, "_run", lambda *args: ran.append(args[2]))
  lines = [
    {"model": f"days/{name}", "published": name != "c"} for name in "bcd"
  ]
  daily.write(folder, lines)
  found = [walk.updated(day).relative_to(folder).as_posix() for day in days]
  assert found == [".", "days/b", "days/b", "days/d"]
  # An update runs after those of the days before.
  assert ran[-3:] == [f"updates/{day}" for day in days[1:]]


def test_costs_of_the_first_and_the_last_update(tmp_path):
  days = kuairand_days.days(FIRST, FIRST + 3 * kuairand_days.ONE_DAY)
  walks = [staleness_walk.Walk(tmp_path, seed, days) for seed in range(3)]
  for name, seconds in (("scratch", 100.0), ("updates", 10.0)):
    for seed, n in itertools.product(range(3), range(4)):
      cost = {"training": seconds + n + seed, "command": 2 * seconds}
      path = f"seed{seed}/costs/{name}/{days[n]}.json"
      files.write_json(tmp_path / path, cost)
  found = staleness_walk.costs(walks)
  assert found["first"]["scratch"] == {"training": 102, "command": 200}
  assert found["last"]["updates"] == {"training": 14, "command": 20}
  assert found["last"]["ratio"] == {"training": 14 / 104, "command": 0.1}


def test_what_was_measured_is_not_measured_again(tmp_path):
  found = {"a b": np.array([[1, 2]])}
  path = tmp_path / "hits.npz"
  calls: list[int] = []

  def measured():
    calls.append(1)
    return found

  for _ in range(2):
    again = staleness.kept(path, measured)
    np.testing.assert_array_equal(again["a b"], found["a b"])
  assert len(calls) == 1
