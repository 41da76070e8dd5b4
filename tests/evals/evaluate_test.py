"""Figures of a retriever, against lists that are retrieved one by one."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax.data import histories, schema
from pinrec_jax.evals import budget_sweep, evaluate, metrics
from pinrec_jax.inference import engine
from pinrec_jax.types import UserSums


def test_figures_are_those_of_the_retrieved_lists(
  small, untrained, cases, retrieve, monkeypatch
):
  # Of 27 items, 100 would be all.
  monkeypatch.setattr(evaluate, "DISTINCT_K", 12)
  targets = metrics.targets(cases)
  retriever = untrained(small)
  some = np.arange(len(retriever.bundle.vectors)) % 2 == 0
  figures, _ = evaluate.evaluate(
    retriever, cases, small.evals, groups={"even": some}, quiet=True
  )
  lists = retrieve(retriever, cases, budget=None)
  for k in small.evals.cutoffs:
    hits = metrics.found(lists.items, targets, k)
    saved, even = targets.actions[:, 1], some[targets.item]
    assert figures[f"recall@{k}"] == metrics.recall(hits)
    assert figures[f"recall@{k}/save"] == metrics.recall(hits, saved)
    assert figures[f"recall@{k}/even_items"] == metrics.recall(hits, even)
    assert figures[f"ndcg@{k}"] == _ndcg(lists.items, targets, k)
    assert figures[f"ndcg@{k}/like"] == _ndcg(lists.items, targets, k, 2)
    for name in ("", "/save", "/even_items"):
      key = f"recall@{k}{name}"
      assert figures[f"{key}:low"] <= figures[key] <= figures[f"{key}:high"]
    assert figures[f"recall@{k}:hits"] == hits.sum()
    assert figures[f"recall@{k}/save:hits"] == hits[saved].sum()
  assert figures["vectors"] == 6
  assert 1 <= figures["vectors_kept"] <= 6
  assert figures["diversity"] == metrics.diversity(lists.items)
  assert figures["coverage"] == np.unique(lists.items[:, :3]).size / 27
  nearest = lists.neighbours[..., :10]
  distinct = metrics.first_distinct(lists.neighbours, 12)
  assert (distinct >= 0).all()
  for name, hits in (
    ("unordered_recall@10", metrics.unordered(nearest, targets)),
    ("distinct_recall@12", metrics.found(distinct, targets, 12)),
  ):
    saved = metrics.recall(hits, targets.actions[:, 1])
    assert figures[name] == metrics.recall(hits) > 0
    assert figures[f"{name}/save"] == saved
  diversity = metrics.retrieved_diversity(nearest).mean()
  assert figures["retrieved_diversity@10"] == pytest.approx(diversity)
  assert figures["recency"] == pytest.approx(_recency(retriever, cases))
  recalls = [
    f"recall@{k}{group}"
    for k in (3, 6)
    for group in ("", "/click", "/save", "/like", "/even_items")
  ]
  assert set(figures) == {
    *recalls,
    *(f"{name}{end}" for name in recalls for end in (":low", ":high", ":hits")),
    *(
      f"{metric}{group}"
      for metric in (
        "ndcg@3", "ndcg@6", "unordered_recall@10", "distinct_recall@12"
      )
      for group in ("", "/click", "/save", "/like")
    ),
    "vectors", "vectors_kept", "diversity", "retrieved_diversity@10",
    "coverage", "recency",
  }  # fmt: skip


def test_the_sums_of_users_give_the_figures(small, untrained, cases):
  figures, sums = evaluate.evaluate(
    untrained(small), cases, small.evals, groups={}, quiet=True
  )
  whole = {"vectors", "vectors_kept", "diversity", "coverage"}
  assert set(sums) == {n for n in figures if ":" not in n} - whole
  for name, own in sums.items():
    assert own.found.shape == own.total.shape == (len(cases),)
    ratio = sum(own.found.tolist()) / sum(own.total.tolist())
    assert abs(ratio - figures[name]) < 1e-12


def _ndcg(*arguments):
  """Returns the mean NDCG of the users that have a target."""
  return UserSums.of_mean(metrics.ndcg(*arguments)).ratio()


def _recency(retriever, cases):
  """Returns the mean place of the event nearest to a vector, one by one."""
  late, bundle = [], retriever.bundle
  reader = retriever.reader
  for case in cases:
    request = reader.from_events(
      case.user, case.past, ask=reader.defaults().ask, candidates=1
    )
    vectors = retriever.generate([request])
    rows = [i for i in request.events.item if bundle.catalog.items.candidate[i]]
    queries = vectors.query[0][vectors.budget[0] > 0]
    for query in queries if len(rows) > 1 else ():
      cosine = [float(query @ bundle.vectors[row]) for row in rows]
      latest = max(range(len(rows)), key=lambda n: (round(cosine[n], 5), n))
      late.append(latest / (len(rows) - 1))
  return np.mean(late)


def test_cutoffs_can_exceed_the_catalog(small, untrained, cases):
  """27 candidates, most users have seen half of them, lists of 50."""
  small.evals.cutoffs = (10, 50)
  retriever = untrained(small)
  figures = evaluate.evaluate(
    retriever, cases, small.evals, groups={}, quiet=True
  ).figures
  assert figures["recall@10"] < figures["recall@50"]
  # All that the user has not seen is listed.
  targets = metrics.targets(cases)
  seen = [set(case.past.seen("engagements")) for case in cases]
  candidate = retriever.bundle.catalog.items.candidate
  left = [
    item not in seen[user] and candidate[item]
    for user, item in zip(targets.user, targets.item, strict=True)
  ]
  assert figures["recall@50"] == pytest.approx(np.mean(left))
  assert all(np.isfinite(list(figures.values())))


def test_users_with_nothing_left_are_evaluated(small, untrained, cases):
  """Every list is empty, and the sweep has no candidate to count."""
  retriever = untrained(small)
  everything = np.flatnonzero(retriever.bundle.catalog.items.candidate)
  rows = np.tile(everything, 2)
  past = cases[0].past.where(np.zeros(len(rows), int))
  past = dataclasses.replace(
    past, item=rows.astype(np.int32), engaged=np.ones(len(rows), bool)
  )
  full = [dataclasses.replace(case, past=past) for case in cases[:3]]
  figures = evaluate.evaluate(
    retriever, full, small.evals, groups={}, quiet=True
  ).figures
  assert figures["recall@6"] == figures["ndcg@6"] == figures["coverage"] == 0
  assert np.isnan(figures["diversity"])
  small.evals.sweep = ("click", "save")
  rows, _ = budget_sweep.sweep(retriever, full, small.evals, points=2)
  assert [row["hits/click"] for row in rows] == [0, 0]
  assert np.isnan([row["rate/click"] for row in rows]).all()


def test_oracle_time_uses_the_offset_of_the_first_target(
  small, untrained, cases, retrieve
):
  some, lists = cases[:10], []
  targets = metrics.targets(some)
  small.decode.steps = 1
  retriever = untrained(small)
  plain = retrieve(retriever, some, budget="unspecified:1")
  figures = evaluate.oracle_time(retriever, some, small.evals, groups={})
  for case in some:
    past = histories.visible(case.past, "engagements")
    last, first = past.time[-1], case.targets.time[0]
    known = schema.UNKNOWN_TIME not in (last, first)
    small.decode.offsets = (int(first) - int(last),) if known else ()
    own = retrieve(untrained(small), [case], budget="unspecified:1")
    lists.append(own.items[0])
  assert len({case.targets.time[0] - case.past.time[-1] for case in some}) > 1
  lists = np.stack(lists)
  assert (lists != plain.items).any()
  hits = metrics.found(lists, targets, 6)
  assert figures["recall@6"] == metrics.recall(hits)
  assert figures["ndcg@6"] == _ndcg(lists, targets, 6)


def test_an_unconditioned_model_takes_one_step_per_vector(
  small, untrained, cases
):
  small.model.conditioned = False
  small.data.sequence_length = 32
  retriever = untrained(small)
  few, many = (
    evaluate.unordered(retriever, cases, vectors=vectors, batch_size=40)
    for vectors in (1, 6)
  )
  assert (few["vectors"], many["vectors"]) == (1, 6)
  names = ["", *(f"/{name}" for name in retriever.outcomes)]
  assert len(many) == 2 * len(names) + 2
  for name in names:
    one, more = (r[f"unordered_recall@10{name}"] for r in (few, many))
    assert more >= one
    # The catalog has fewer than 100 items.
    one, more = (r[f"distinct_recall@100{name}"] for r in (few, many))
    assert more == one > 0
  assert few["retrieved_diversity@10"] == 1 > many["retrieved_diversity@10"]


@pytest.mark.parametrize("kind", ["exact", "auto"])
def test_an_index_is_compared_with_exact_search(
  small, untrained, cases, kind, monkeypatch
):
  monkeypatch.setattr(evaluate, "INDEX_K", 5)
  small.index.kind = kind
  retriever = untrained(small)
  assert evaluate.index_recall(retriever, cases) == 1
  bundle = retriever.bundle
  farthest = type(bundle.index)(-bundle.vectors[bundle.candidates])
  broken = engine.Retriever(dataclasses.replace(bundle, index=farthest))
  assert evaluate.index_recall(broken, cases) < 0.5


def test_a_sweep_embeds_no_item_again(small, untrained, cases, monkeypatch):
  retriever = untrained(small)

  def fail(*_, **__):
    raise AssertionError("items were embedded")

  monkeypatch.setattr(engine.bundle_lib.pinrec, "embed_items", fail)
  monkeypatch.setattr(engine.bundle_lib.item_embedder, "features", fail)
  budget_sweep.sweep(retriever, cases[:4], small.evals, points=2)
  small.model.conditioned = False
  evaluate.unordered(retriever, cases[:4], vectors=3, batch_size=4)
