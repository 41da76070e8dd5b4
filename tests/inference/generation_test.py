"""Generated vectors: order, shares, conditions and what is fed back."""

import jax
import numpy as np
import pytest

from pinrec_jax.model import pinrec

USERS = (3, 4, 5)


def generated(retriever, world, budget, **ask):
  """Returns the vectors of three users of the log."""
  reader = retriever.reader
  default = reader.defaults(budget=budget).ask._replace(**ask)
  batch = [
    reader.from_events(
      world.users[user], world.events[user], ask=default, candidates=5
    )
    for user in USERS
  ]
  return retriever.generate(batch)


def used(vectors):
  """Returns the outcome, offset and step of the vectors that have a budget."""
  own = vectors.budget[0] > 0
  columns = (vectors.outcome, vectors.offset, vectors.step)
  return [column[0][own].tolist() for column in columns]


@pytest.mark.parametrize("conditioned", [True, False])
def test_vectors_are_ordered_by_step_and_have_a_share(
  world, small, untrained, conditioned
):
  small.model.conditioned = conditioned
  small.decode.dedup_threshold = 1.0
  budget = {"save": 0.75, "like": 0.25} if conditioned else None
  vectors = generated(untrained(small), world, budget)
  kinds = [1, 2] if conditioned else [-1]
  outcome, offset, step = used(vectors)
  assert outcome == 2 * kinds
  assert set(offset) == {-1}
  assert step == [0] * len(kinds) + [1] * len(kinds)
  np.testing.assert_allclose(
    np.linalg.norm(vectors.query, axis=-1), 1, rtol=1e-5
  )
  # The second step has half the budget of the first.
  shares = np.outer([2 / 3, 1 / 3], list((budget or {"": 1}).values())).ravel()
  np.testing.assert_allclose(
    vectors.share[:, : len(shares)], [shares] * 3, rtol=1e-6
  )
  assert not vectors.share[:, len(shares) :].any()


@pytest.mark.parametrize(
  "condition", [{"surface": 2}, {"item_type": 1}, {"age": 90_000}]
)
def test_every_condition_changes_the_vectors(world, retriever, condition):
  plain = generated(retriever, world, {"save": 1.0}, age=-1).query
  asked = generated(retriever, world, {"save": 1.0}, **{"age": -1} | condition)
  assert np.abs(plain - asked.query).max() > 1e-3


@pytest.mark.parametrize("offsets", [(-1,), (0, 90_000), (60,), (-1, 60)])
def test_every_offset_has_its_vector(world, small, untrained, offsets):
  small.decode.dedup_threshold = 2.0  # Nothing is merged.
  vectors = generated(
    untrained(small), world, {"click": 0.75, "like": 0.25}, offsets=offsets
  )
  outcome, offset, step = used(vectors)
  assert offset == list(offsets) * 4
  assert outcome == [o for o in (0, 2) for _ in offsets] * 2
  np.testing.assert_allclose(vectors.share.sum(-1), 1, rtol=1e-5)
  clicks = np.where(vectors.outcome == 0, vectors.share, 0).sum(-1)
  np.testing.assert_allclose(clicks, 0.75, rtol=1e-5)
  queries = vectors.query[0, : len(step)].round(4)
  assert len(np.unique(queries, axis=0)) == len(step)


@pytest.mark.parametrize("offsets", [(-1, 60), (60, 90_000)])
def test_the_vector_of_the_nearest_offset_is_fed_back(
  world, small, untrained, offsets
):
  small.decode.dedup_threshold = 2.0
  retriever = untrained(small)

  def second(*offsets):
    found = generated(retriever, world, {"like": 1.0}, offsets=offsets)
    later = (found.step == 1) & (found.offset == min(offsets))
    return found.query[later & (found.budget > 0)]

  np.testing.assert_allclose(
    second(*reversed(offsets)), second(min(offsets)), rtol=1e-5, atol=1e-6
  )


def test_the_unspecified_outcome_is_the_vector_without_a_budget(
  world, small, untrained
):
  retriever = untrained(small)
  plain = generated(retriever, world, {"unspecified": 1.0})
  both = generated(retriever, world, {"unspecified": 0.5, "like": 0.5})
  assert both.outcome[0, :2].tolist() == [2, -1]
  np.testing.assert_allclose(both.query[:, 1], plain.query[:, 0], rtol=1e-5)


def test_unknown_items_change_the_vectors(small, untrained):
  retriever = untrained(small)
  reader = retriever.reader

  def read(item, **fields):
    events = [{"item": 105}, {"item": item, **fields}]
    return reader.read(
      {"user": "u", "events": events}, "", reader.defaults(budget="click:1")
    )

  query = retriever.generate(
    [
      read("new"),
      read("newer"),
      read("new", features={"tag": "t1"}),
      read("new"),
      read(110),
    ]
  ).query
  np.testing.assert_allclose(query[0], query[3], atol=1e-6)
  for other in (1, 2, 4):
    assert np.abs(query[0] - query[other]).max() > 1e-3


def test_known_items_use_the_stored_vectors(world, retriever, monkeypatch):
  """Serving embeds no item that the bundle has a vector of."""

  def fail(*_, **__):
    raise AssertionError("an item was embedded")

  monkeypatch.setattr(pinrec, "embed", fail)
  monkeypatch.setattr(pinrec, "embed_items", fail)
  for budget in ("click:1", "save:1"):  # Nor does another budget.
    generated(retriever, world, budget)


def test_the_vector_with_the_largest_share_is_fed_back(small, untrained, world):
  small.decode.dedup_threshold = 2.0
  retriever = untrained(small)
  mixed = generated(retriever, world, {"click": 0.25, "save": 0.75})
  pure = generated(retriever, world, {"save": 1.0})
  saved = (mixed.outcome == 1) & (mixed.step == 1)
  np.testing.assert_allclose(
    mixed.query[saved], pure.query[(pure.step == 1) & (pure.budget > 0)],
    atol=1e-5,
  )  # fmt: skip


def test_generation_compiles_once_for_a_batch_size(retriever, caplog):
  reader = retriever.reader

  def batch(*lengths):
    events = [[{"item": 100 + n} for n in range(size)] for size in lengths]
    return [
      reader.read({"user": "u", "events": own}, "", reader.defaults())
      for own in events
    ]

  retriever.generate(batch(1, 2))
  caplog.clear()
  with jax.log_compiles():
    retriever.generate(batch(22, 0))
  assert not [m for m in caplog.messages if m.startswith("Compiling")]
