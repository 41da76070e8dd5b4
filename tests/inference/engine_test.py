import dataclasses

import jax
import numpy as np
import pytest

from pinrec_jax.data import histories, schema
from pinrec_jax.index import scann_index
from pinrec_jax.serve import retriever as retriever_lib

NOTHING = np.zeros(0, np.int32)


def generated(retriever, world, budget, users=(3, 4, 5)):
  chosen = [
    histories.latest(world.events[user], retriever.longest) for user in users
  ]
  tokens = histories.serving(chosen, retriever.longest)
  return retriever.vectors(
    tokens,
    retriever.known[tokens.item],
    budget,
    jax.random.key(0),
  )


def test_an_age_is_asked_for_where_training_knew_of_one(
  world, small, untrained
):
  def asked(age, **split):
    small.decode.age = age
    retriever = untrained(small)
    known = dataclasses.replace(world.vocabulary, **split)
    model = retriever.model.clone(vocabulary=known)
    retriever = dataclasses.replace(retriever, model=model)
    return generated(retriever, world, {"save": 1.0}).query

  assert np.abs(asked(0) - asked(-1)).max() > 0.01
  held_out = {"validation_from": 0, "test_from": 0}
  np.testing.assert_array_equal(asked(0, **held_out), asked(-1, **held_out))


def test_default_budget_is_the_share_of_the_log(small, untrained):
  retriever = untrained(small)
  budget = retriever.budget()
  assert list(budget) == ["click", "save", "like"]
  np.testing.assert_allclose(
    list(budget.values()), retriever.outcome_share, rtol=1e-6
  )
  assert sum(budget.values()) == pytest.approx(1)


def test_budget_is_the_requests_before_the_configurations(small, untrained):
  small.decode.budget = "save:1"
  retriever = untrained(small)
  assert retriever.budget() == {"save": 1}
  assert retriever.budget("like:0.5,click:0.5") == {"like": 0.5, "click": 0.5}


def test_unconditioned_model_takes_no_budget(small, untrained):
  small.model.conditioned = False
  retriever = untrained(small)
  assert retriever.budget() == {}
  with pytest.raises(ValueError, match="'save:1' asks an unconditioned model"):
    retriever.budget("save:1")


@pytest.mark.parametrize("conditioned", [True, False])
def test_vectors_come_step_by_step_with_their_share(
  world, small, untrained, conditioned
):
  small.model.conditioned = conditioned
  small.decode.dedup_threshold = 1.0
  retriever = untrained(small)
  budget = {"save": 0.75, "like": 0.25} if conditioned else {}
  query, share, outcome, offset, step = generated(retriever, world, budget)
  kinds = [1, 2] if conditioned else [-1]
  assert outcome.tolist() == 2 * kinds
  assert (offset == -1).all()
  assert step.tolist() == [0] * len(kinds) + [1] * len(kinds)
  np.testing.assert_allclose(np.linalg.norm(query, axis=-1), 1, rtol=1e-5)
  # The second step has half the budget of the first.
  shares = np.outer([2 / 3, 1 / 3], list(budget.values()) or [1]).ravel()
  np.testing.assert_allclose(share, [shares] * 3, rtol=1e-6)


def test_asked_surface_changes_the_vectors_and_must_be_known(
  world, small, untrained
):
  plain = generated(untrained(small), world, {"save": 1.0}).query
  small.decode.surface = "search"
  asked = generated(untrained(small), world, {"save": 1.0}).query
  assert np.abs(plain - asked).max() > 1e-3
  small.decode.surface = "moon"
  with pytest.raises(ValueError, match="unknown surface 'moon'"):
    generated(untrained(small), world, {"save": 1.0})


@pytest.mark.parametrize("kind", ["exact", "scann"])
def test_search_skips_vectors_without_a_share(world, small, untrained, kind):
  if kind == "scann" and not scann_index.available():
    pytest.skip("ScaNN has Linux wheels only")
  small.index.kind = kind
  retriever = untrained(small)
  vectors = generated(retriever, world, {"save": 0.5, "like": 0.5})
  share = np.ones_like(vectors.share)
  share[0, 1] = share[2, 3] = 0
  rows, scores = retriever.search(vectors._replace(share=share), 4)
  every = np.einsum("bqd,cd->bqc", vectors.query, retriever.embedded)
  expected = np.argsort(-every, axis=-1)[..., :4]
  kept = share > 0
  np.testing.assert_array_equal(rows[kept], expected[kept])
  np.testing.assert_allclose(
    scores[kept], np.take_along_axis(every, expected, -1)[kept], atol=1e-5
  )
  assert (rows[~kept] == -1).all()
  assert (scores[~kept] == -np.inf).all()


@pytest.mark.skipif(
  not scann_index.available(), reason="ScaNN has Linux wheels only"
)
def test_both_indexes_give_the_same_lists(world, small, untrained):
  found = []
  for kind, index in (("exact", "Exact"), ("scann", "Scann")):
    small.index.kind = kind
    retriever = untrained(small)
    assert type(retriever.index).__name__ == index
    vectors = generated(retriever, world, {"save": 0.5, "like": 0.5})
    seen = [world.events[user].item for user in (3, 4, 5)]
    found.append(retriever.candidates(vectors, seen, 9))
  one, other = found
  np.testing.assert_array_equal(one.item, other.item)
  np.testing.assert_array_equal(one.outcome, other.outcome)
  np.testing.assert_array_equal(one.step, other.step)
  np.testing.assert_allclose(one.score, other.score, atol=1e-5)


def test_whole_catalog_is_the_longest_list(world, small, untrained):
  retriever = untrained(small)
  vectors = generated(retriever, world, retriever.budget())
  seen = [NOTHING, world.events[4].item[-4:], NOTHING]
  found = retriever.candidates(vectors, seen, 23)
  assert (np.sort(found.item[0])[:-1] < np.sort(found.item[0])[1:]).all()
  assert set(found.item[1]) == set(retriever.catalog) - set(seen[1])
  for size, given, widest in ((24, seen, 4), (28, [NOTHING] * 3, 0)):
    with pytest.raises(
      ValueError,
      match=f"^{size} candidates .* of 27 items, {widest} of them seen; ask "
      f"for at most {27 - widest}",
    ):
      retriever.candidates(vectors, given, size)


def test_candidate_scores_are_cosines_with_the_vector_that_found_it(
  world, small, untrained
):
  small.decode.dedup_threshold = 1.0
  retriever = untrained(small)
  vectors = generated(retriever, world, {"save": 0.5, "like": 0.5})
  found = retriever.candidates(vectors, [NOTHING] * 3, 8)
  for user in range(3):
    for item, score, outcome, _, step in zip(
      *(column[user] for column in found), strict=True
    ):
      place = 2 * step + [1, 2].index(outcome)
      row = retriever.catalog.tolist().index(item)
      cosine = vectors.query[user, place] @ retriever.embedded[row]
      assert score == pytest.approx(cosine, abs=1e-5)


def test_items_are_embedded_alike_in_parts(
  world, small, untrained, monkeypatch
):
  retriever = untrained(small)
  assert (retriever.catalog == np.arange(1, 28)).all()
  assert schema.NO_ITEM not in retriever.catalog
  monkeypatch.setattr(retriever_lib, "AT_ONCE", 10)
  parted = retriever_lib.of_dataset(
    small, retriever.model, retriever.params, world
  )
  np.testing.assert_allclose(parted.embedded, retriever.embedded, atol=1e-6)
  known = retriever.embed(retriever.features)
  np.testing.assert_allclose(parted.known, known, atol=1e-6)
  np.testing.assert_allclose(
    retriever.known[retriever.catalog], retriever.embedded, atol=1e-6
  )
  norms = np.linalg.norm(retriever.embedded, axis=-1)
  np.testing.assert_allclose(norms, 1, rtol=1e-5)


def test_history_and_steps_share_the_positions(small, untrained):
  assert untrained(small).longest == small.data.sequence_length - 1
  small.decode.steps = 1
  assert untrained(small).longest == small.data.sequence_length


def test_items_nobody_engaged_with_are_read_by_content_alone(
  world, small, untrained
):
  # Where item 3 is new, nothing of its id reaches its vector.
  new = dataclasses.replace(
    world,
    events=tuple(
      dataclasses.replace(e, engaged=e.engaged & (e.item != 3))
      for e in world.events
    ),
  )
  for rate, cold in ((0.0, False), (0.2, True)):
    small.model.id_dropout = rate
    known = untrained(small)
    retriever = retriever_lib.of_dataset(small, known.model, known.params, new)
    moved = np.abs(retriever.embedded - known.embedded).max(-1) > 1e-4
    assert moved.tolist() == [cold and row == 3 for row in range(1, 28)]
    assert (retriever.features.rows[3] == -1).all() == cold


@pytest.mark.parametrize("offsets", [(), (0, 90_000), (60,), (-1, 60)])
def test_every_time_ahead_asked_for_has_its_vector(
  world, small, untrained, offsets
):
  small.decode.offsets = offsets
  small.decode.dedup_threshold = 2.0  # nothing is merged
  retriever = untrained(small)
  found = generated(retriever, world, {"click": 0.75, "like": 0.25})
  asked = offsets or (-1,)
  steps = small.decode.steps
  assert found.offset.tolist() == list(asked) * 2 * steps
  per_step = [o for o in (0, 2) for _ in asked]
  assert found.outcome.tolist() == per_step * steps
  np.testing.assert_allclose(found.share.sum(-1), 1, rtol=1e-5)
  clicks = found.share[:, found.outcome == 0].sum(-1)
  np.testing.assert_allclose(clicks, 0.75, rtol=1e-5)
  assert len(np.unique(found.query[0].round(4), axis=0)) == len(found.step)


@pytest.mark.parametrize("offsets", [(-1, 60), (60, 90_000)])
def test_the_vector_of_the_nearest_time_ahead_is_fed_back(
  world, small, untrained, offsets
):
  small.decode.dedup_threshold = 2.0

  def second(*offsets):
    small.decode.offsets = offsets
    found = generated(untrained(small), world, {"like": 1.0})
    later = (found.step == 1) & (found.offset == min(offsets))
    return found.query[:, later]

  np.testing.assert_allclose(
    second(*reversed(offsets)), second(min(offsets)), rtol=1e-5, atol=1e-6
  )


def test_a_budget_without_outcome_asks_as_no_budget_does(
  world, small, untrained
):
  retriever = untrained(small)
  nothing = generated(retriever, world, {})
  both = generated(retriever, world, {"unspecified": 0.5, "like": 0.5})
  assert both.outcome[:2].tolist() == [-1, 2]
  np.testing.assert_allclose(both.query[:, 0], nothing.query[:, 0], rtol=1e-5)
