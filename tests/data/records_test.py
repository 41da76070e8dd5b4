import numpy as np
import pandas as pd
import pytest

from pinrec_jax.data import catalog, records, schema

ACTIONS = ("click", "like", "hide")


@pytest.fixture(scope="module")
def known():
  return catalog.encode(
    pd.DataFrame({"item": ["a", "b", "c"], "item_type": "x", "kind": "k"}),
    np.array(["a", "b"]),
    actions=ACTIONS,
    outcomes=2,
    surfaces=("unknown", "feed"),
    validation_from=100,
    test_from=200,
  )


@pytest.fixture(scope="module")
def log():
  """Two users' events, mixed up, some undated, many of one second."""
  rng = np.random.default_rng(0)
  log = pd.DataFrame(
    {
      "user": rng.permutation(["u", "v"] * 40),
      "item": rng.choice(["a", "b", "c"], 80),
      "time": rng.choice([np.nan, 110, 120, 130], 80),
      "surface": rng.choice([np.nan, 1], 80),
      **{name: rng.choice([np.nan, 0, 1], 80) for name in ACTIONS},
    }
  )
  return log.assign(engaged=log[["click", "like"]].fillna(0).any(axis=1))


def test_record_keeps_engagements_and_impressions_apart(log, known):
  for _, example in records.examples(log, known):
    for part, outcomes in (("engagements", True), ("impressions", False)):
      engaged = example[part]["actions"][:, :2].any(-1)
      assert engaged.size > 5
      assert (engaged == outcomes).all()


def test_record_merges_back_in_stable_order(log, known):
  found = {
    user: records.events(example)
    for user, example in records.examples(log, known)
  }
  assert list(found) == ["u", "v"]
  for user, events in found.items():
    own = log[log["user"] == user].fillna(0).to_dict("records")
    own.sort(key=lambda row: row["time"])  # Python sorts stably
    assert known.items.ids[events.item].tolist() == [r["item"] for r in own]
    assert events.time.tolist() == [row["time"] for row in own]
    assert events.surface.tolist() == [row["surface"] for row in own]
    assert events.engaged.tolist() == [row["engaged"] for row in own]
    assert events.actions.tolist() == [[r[a] for a in ACTIONS] for r in own]


def test_missing_time_and_surface_are_unknown(known):
  log = pd.DataFrame({"user": [1], "item": ["c"], "engaged": [False]})
  log = log.assign(time=np.nan, surface=np.nan, **dict.fromkeys(ACTIONS, 0))
  ((_, example),) = records.examples(log, known)
  events = records.events(example)
  assert events.time == schema.UNKNOWN_TIME
  assert known.vocabulary.surfaces[events.surface[0]] == "unknown"


def test_event_of_an_unlisted_item_is_named(log, known):
  log = log.assign(item=log["item"].replace("b", "lost"))
  with pytest.raises(ValueError, match="item lost of the log is not in"):
    next(records.examples(log, known))


def test_a_query_is_kept_apart_and_merged_back(log, known):
  about = ~log["engaged"] & (np.arange(80) % 3 == 0)
  queries = log.assign(context=about)
  plain = dict(records.examples(log, known))
  for user, example in records.examples(queries, known):
    assert len(example["contexts"]["item"]) == about[log["user"] == user].sum()
    events = records.events(example)
    assert events.context.sum() == len(example["contexts"]["item"])
    assert not (events.context & events.engaged).any()
    before = records.events(plain[user])
    np.testing.assert_array_equal(events.item, before.item)
    assert not before.context.any()


def test_an_event_cannot_be_context_and_engaged(log, known):
  with pytest.raises(ValueError, match="both engaged with and context"):
    list(records.examples(log.assign(context=True), known))


@pytest.mark.parametrize("before", [0, 1_000_015])
def test_gaps_are_those_that_training_may_know_of(log, before):
  start = log["time"].min()
  before = before and int(start + 15)
  apart = []
  for _, own in log[log["engaged"]].groupby("user"):
    times = sorted(own["time"].dropna())
    times = [t for t in times if t < before] if before else times[:-2]
    apart += list(np.diff(times))
  found = records.gaps(log, before=before)
  assert len(set(apart)) > 1
  assert found == tuple(int(np.percentile(apart, n)) for n in range(1, 100))
  assert records.gaps(log.assign(time=np.nan)) == ()


def test_parts_keep_each_user_whole():
  log = pd.DataFrame({"user": [3, 3, 3, 5, 7, 7, 9], "item": range(7)})
  found = [part["user"].tolist() for part in records.parts(log, rows=2)]
  assert found == [[3, 3, 3], [5], [7, 7], [9]]
  pd.testing.assert_frame_equal(pd.concat(records.parts(log, rows=3)), log)
  assert len(list(records.parts(log))) == 1
