import dataclasses

import jax
import numpy as np
import pytest

from pinrec_jax.data import histories, schema
from pinrec_jax.evals import metrics, run


def test_report_is_of_what_was_retrieved(small, untrained, cases, retrieve):
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


def test_withheld_items_are_found_among_themselves(
  small, untrained, cases, retrieve
):
  """As by who leaves all others out of the whole ranking, one vector's."""
  small.evals.cutoffs = (2,)
  small.decode.budget, small.decode.steps = "click:1", 1
  small.index.filter_seen = "nothing"
  retriever = untrained(small)
  new = np.arange(len(retriever.features.item_type)) % 3 > 0
  report = run.evaluate(retriever, cases, items={"withheld": new}, quiet=True)
  assert report["withheld_candidates"] == new[retriever.catalog].sum()
  whole = retrieve(
    retriever, cases, size=len(retriever.catalog), budget=retriever.budget()
  )
  lists = np.stack([row[new[row]][:2] for row in whole.items])
  targets = metrics.targets(cases)
  hits = metrics.found(lists, targets, 2)
  found = metrics.recall(hits, targets, items=new)
  assert report["recall@2/alone"] == pytest.approx(found)
  assert 0 < found < 1
  few = [case for case in cases if not new[case.targets.item].any()]
  report = run.evaluate(retriever, few, items={"withheld": new}, quiet=True)
  assert np.isnan(report["recall@2/alone"])


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


def test_told_its_targets_time_a_list_is_what_asking_for_it_gives(
  small, untrained, cases, retrieve
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
  small.data.sequence_length = 32
  retriever = untrained(small)
  few, many = (
    run.unordered(retriever, cases, vectors=vectors, prefix="uc_")
    for vectors in (1, 6)
  )
  assert (few["uc_vectors"], many["uc_vectors"]) == (1, 6)
  names = ["", *(f"/{name}" for name in retriever.vocabulary.outcome_names)]
  assert len(many) == len(names) + 1
  for name in names:
    one, more = (r[f"uc_unordered_recall@10{name}"] for r in (few, many))
    assert more >= one


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


def test_sweep_turns_from_one_outcome_to_the_next(
  small, untrained, cases, retrieve, shares
):
  targets = metrics.targets(cases)
  small.decode.steps = 1
  retriever = untrained(small)
  rows = run.sweep(retriever, cases, points=3)
  budgets = [[row[f"budget/{name}"] for name in shares] for row in rows]
  assert budgets == [
    [1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1],
  ]  # fmt: skip
  for row, name, outcome in ((rows[0], "click", 0), (rows[4], "like", 2)):
    lists = retrieve(retriever, cases, budget={name: 1.0})
    rate = metrics.action_rate(lists.items, targets, outcome)
    assert row[f"rate/{name}"] == rate
    hits = metrics.found(lists.items, targets, 6)
    assert row["recall"] == metrics.recall(hits, targets)
