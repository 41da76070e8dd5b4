import copy
import dataclasses

import jax
import numpy as np
import pytest

from pinrec_jax.data import histories, schema, splits
from pinrec_jax.evals import metrics, run

BUDGET = {"click": 0.5, "save": 0.25, "like": 0.25}


@pytest.fixture(scope="module")
def cases(world):
  return splits.cases(world, "test")


def retrieve(retriever, cases, *, size=6, budget=BUDGET):
  return run.retrieve(
    retriever,
    cases,
    size=size,
    budget=budget,
    nearest=run.UNORDERED_K,
    quiet=True,
  )


@pytest.mark.parametrize(
  ("drop_seen", "recall"), [("nothing", 0.0291), ("engagements", 0.0310)]
)
def test_popularity_on_the_excerpt_is_as_published(mini, drop_seen, recall):
  cases = splits.cases(mini, "test")
  lists = run.popularity(
    mini, cases, split="test", size=10, drop_seen=drop_seen
  )
  assert lists.shape == (2_296, 10)
  assert mini.items.candidate[lists].all()
  items = splits.known_by(mini, "test")
  report = run.of_lists(
    lists, cases, mini.vocabulary, [10], "popularity_", items=items
  )
  assert round(report["popularity_recall@10"], 4) == recall
  # What is not among the ten is in none of them.
  assert report["popularity_recall@10/head_items"] > recall
  assert report["popularity_recall@10/new_items"] == 0


def test_popularity_counts_dated_engagements_before_the_cut(world, cases):
  first = run.popularity(
    world, cases, split="test", size=1, drop_seen="nothing"
  )
  candidate = world.items.candidate.copy()
  candidate[first[0]] = False  # the most popular is not to be recommended
  items = world.items._replace(candidate=candidate)
  known = dataclasses.replace(world.catalogue, items=items)
  world = dataclasses.replace(world, catalogue=known)
  counts = dict.fromkeys(np.flatnonzero(candidate).tolist(), 0)
  for events in world.events:
    for n, item in enumerate(events.item.tolist()):
      dated = schema.UNKNOWN_TIME < events.time[n] < world.vocabulary.test_from
      if dated and events.engaged[n] and item in counts:
        counts[item] += 1
  ranked = sorted(counts, key=lambda item: (-counts[item], item))
  plain, unseen, unshown = (
    run.popularity(world, cases, split="test", size=6, drop_seen=drop_seen)
    for drop_seen in ("nothing", "engagements", "exposures")
  )
  assert (plain == ranked[:6]).all()
  for n, case in enumerate(cases):
    seen = case.past.item[case.past.engaged]
    assert unseen[n].tolist() == [i for i in ranked if i not in seen][:6]
    shown = case.past.item
    assert unshown[n].tolist() == [i for i in ranked if i not in shown][:6]
  assert (plain != unseen).any()
  assert (unseen != unshown).any()


@pytest.mark.parametrize("drop_seen", ["nothing", "engagements", "exposures"])
def test_lists_are_full_unique_and_unseen(
  world, small, untrained, cases, drop_seen
):
  small.index.drop_seen = drop_seen
  seen = [case.past.seen(drop_seen) for case in cases]
  candidates = set(np.flatnonzero(world.items.candidate))
  widest = max(len(candidates & set(own)) for own in seen)
  size = len(candidates) - widest
  lists = retrieve(untrained(small), cases, size=size)
  assert lists.items.shape == lists.outcome.shape == (len(cases), size)
  for row, own in zip(lists.items, seen, strict=True):
    assert len(set(row)) == size
    assert set(row) <= candidates
    assert not set(row) & set(own)


def test_lists_spend_the_budget(small, untrained, cases):
  small.decode.merge_above = 1.0
  lists = retrieve(untrained(small), cases, size=8)
  assert lists.vectors == len(BUDGET) * small.decode.steps
  assert lists.kept == lists.vectors
  for outcome, share in enumerate(BUDGET.values()):
    spent = (lists.outcome == outcome).sum(-1)
    assert np.abs(spent - 8 * share).max() <= 1


def test_batch_size_changes_nothing(small, untrained, cases):
  few, many = copy.deepcopy(small), small
  few.evals.batch = 5
  one, other = (retrieve(untrained(c), cases[:12]) for c in (few, many))
  np.testing.assert_array_equal(one.items, other.items)
  np.testing.assert_array_equal(one.neighbours, other.neighbours)
  assert one.kept == other.kept


def test_nothing_of_the_period_evaluated_is_read(small, untrained, cases):
  emptied = [
    dataclasses.replace(case, targets=case.targets.where(slice(0)))
    for case in cases
  ]
  retriever = untrained(small)
  np.testing.assert_array_equal(
    retrieve(retriever, cases).items, retrieve(retriever, emptied).items
  )


def test_inputs_decide_what_is_read(small, untrained, cases):
  more = copy.deepcopy(small)
  more.data.inputs = "exposures"
  one, other = (retrieve(untrained(c), cases).items for c in (small, more))
  assert (one != other).any()


def test_report_is_of_what_was_retrieved(small, untrained, cases):
  targets = metrics.targets(cases)
  retriever = untrained(small)
  some = np.arange(len(retriever.features.item_type)) % 2 == 0
  report = run.evaluate(
    retriever, cases, items={"even": some}, prefix="x_", quiet=True
  )
  lists = retrieve(retriever, cases, budget=retriever.budget())
  for k in small.evals.cutoffs:
    hits = metrics.found(lists.items, targets, k)
    assert report[f"x_recall@{k}"] == metrics.recall(hits, targets)
    assert report[f"x_recall@{k}/save"] == metrics.recall(hits, targets, 1)
    even = metrics.recall(hits, targets, items=some)
    assert report[f"x_recall@{k}/even_items"] == even
    assert report[f"x_ndcg@{k}"] == metrics.ndcg(lists.items, targets, k)
    assert report[f"x_ndcg@{k}/like"] == metrics.ndcg(
      lists.items, targets, k, 2
    )
  assert report["x_vectors"] == 6
  assert 1 <= report["x_vectors_kept"] <= 6
  assert report["x_diversity"] == metrics.diversity(lists.items)
  assert report["x_coverage"] == np.unique(lists.items[:, :3]).size / 27
  hits = metrics.unordered(lists.neighbours, targets)
  assert report["x_unordered_recall@10"] == metrics.recall(hits, targets)
  assert report["x_unordered_recall@10/save"] == metrics.recall(
    hits, targets, 1
  )
  assert report["x_recency"] == pytest.approx(_recency(retriever, cases))
  assert set(report) == {
    *(
      f"x_{metric}{group}"
      for metric in (
        "recall@3", "ndcg@3", "recall@6", "ndcg@6", "unordered_recall@10",
      )
      for group in ("", "/click", "/save", "/like")
    ),
    "x_recall@3/even_items", "x_recall@6/even_items",
    "x_vectors", "x_vectors_kept", "x_diversity", "x_coverage", "x_recency",
  }  # fmt: skip


def _recency(retriever, cases):
  """The mean place of the event nearest to a vector, one by one."""
  late, place_of = [], retriever.place_of
  for case in cases:
    past = histories.latest(
      histories.visible(case.past, "engagements"), retriever.longest
    )
    tokens = histories.serving([past], retriever.longest)
    vectors = retriever.vectors(
      tokens, retriever.known[tokens.item], retriever.budget(),
      jax.random.key(0),
    )  # fmt: skip
    places = [place_of[item] for item in past.item if place_of[item] >= 0]
    for query in vectors.query[0] if len(places) > 1 else ():
      cosine = [float(query @ retriever.embedded[place]) for place in places]
      latest = max(range(len(places)), key=lambda n: (round(cosine[n], 5), n))
      late.append(latest / (len(places) - 1))
  return np.mean(late)


def test_lists_are_the_same_in_rows_as_long_as_histories(
  small, untrained, cases
):
  small.data.length, small.decode.steps = 32, 2
  small.evals.batch = len(cases)
  retriever = untrained(small)
  users, lengths = run._batches(retriever, cases)
  assert (users.shape, lengths.tolist()) == ((1, len(cases)), [31])
  whole = retrieve(retriever, cases)
  small.evals.batch = 3
  users, lengths = run._batches(retriever, cases)
  order = list(dict.fromkeys(users.reshape(-1).tolist()))
  assert sorted(order) == list(range(len(cases)))
  events = [cases[user].past.engaged.sum() for user in order]
  assert events == sorted(events)
  assert len(set(lengths)) > 1
  for own, length in zip(users, lengths, strict=True):
    longest = max(cases[user].past.engaged.sum() for user in own)
    assert length == 31 or longest < length
  parts = retrieve(retriever, cases)
  np.testing.assert_array_equal(parts.items, whole.items)
  np.testing.assert_array_equal(parts.outcome, whole.outcome)
  np.testing.assert_array_equal(parts.neighbours, whole.neighbours)
  assert parts.recency == pytest.approx(whole.recency)


def test_told_its_targets_time_a_list_is_what_asking_for_it_gives(
  small, untrained, cases
):
  some, lists = cases[:10], []
  targets = metrics.targets(some)
  small.decode.steps = 1
  plain = retrieve(untrained(small), some, budget={})
  report = run.told_time(untrained(small), some, items={}, prefix="told_")
  for case in some:
    past = case.past.where(case.past.engaged)
    last, first = past.time[-1], case.targets.time[0]
    known = schema.UNKNOWN_TIME not in (last, first)
    small.decode.offsets = (int(first) - int(last),) if known else ()
    lists.append(retrieve(untrained(small), [case], budget={}).items[0])
  assert len({case.targets.time[0] - case.past.time[-1] for case in some}) > 1
  assert (np.stack(lists) != plain.items).any()
  hits = metrics.found(np.stack(lists), targets, 6)
  assert report["told_recall@6"] == metrics.recall(hits, targets)
  assert report["told_ndcg@6"] == metrics.ndcg(np.stack(lists), targets, 6)


def test_unconditioned_model_takes_a_step_a_vector(small, untrained, cases):
  small.model.conditioned = False
  small.data.length = 32
  retriever = untrained(small)
  few, many = (
    run.unordered(retriever, cases, vectors=vectors, prefix="uc_")
    for vectors in (1, 6)
  )
  assert (few["uc_vectors"], many["uc_vectors"]) == (1, 6)
  assert many["uc_unordered_recall@10"] >= few["uc_unordered_recall@10"]


@pytest.mark.parametrize("kind", ["exact", "auto"])
def test_index_is_measured_against_the_exact_one(
  small, untrained, cases, kind, monkeypatch
):
  monkeypatch.setattr(run, "SCANN_K", 5)
  small.index.kind = kind
  retriever = untrained(small)
  assert run.index_recall(retriever, cases) == 1
  farthest = type(retriever.index)(-retriever.embedded)
  broken = dataclasses.replace(retriever, index=farthest)
  assert run.index_recall(broken, cases) < 0.5


def test_sweep_turns_from_one_outcome_to_the_next(small, untrained, cases):
  targets = metrics.targets(cases)
  small.decode.steps = 1
  retriever = untrained(small)
  rows = run.sweep(retriever, cases, points=3)
  budgets = [[row[f"budget/{name}"] for name in BUDGET] for row in rows]
  assert budgets == [
    [1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1],
  ]  # fmt: skip
  for row, name, outcome in ((rows[0], "click", 0), (rows[4], "like", 2)):
    lists = retrieve(retriever, cases, budget={name: 1.0})
    rate = metrics.action_rate(lists.items, targets, outcome)
    assert row[f"rate/{name}"] == rate
    hits = metrics.found(lists.items, targets, 6)
    assert row["recall"] == metrics.recall(hits, targets)
