"""Examples show the candidates of each outcome for a few users."""

import pytest

from pinrec_jax.evals import examples
from pinrec_jax.evals import retrieve as retrieve_lib


@pytest.mark.parametrize("conditioned", [True, False])
def test_an_example_is_what_is_retrieved(
  world, small, untrained, cases, conditioned
):
  small.model.conditioned = conditioned
  small.decode.steps = 1
  retriever = untrained(small)
  found = examples.of_users(retriever, cases, ("click", "save"))
  assert len(found) == examples.USERS
  assert len({one.user for one in found}) == examples.USERS
  first = found[0]
  ids = world.items.ids
  past = cases[0].past.item[cases[0].past.engaged]
  assert first.user == cases[0].user
  assert first.engagements == len(past)
  assert first.history == ids[past[-examples.ITEMS :]].tolist()
  targets = cases[0].targets.item[: examples.ITEMS]
  assert first.targets == ids[targets].tolist()
  budgets = {"the default budget": None}
  if conditioned:
    budgets |= {"click": "click:1", "save": "save:1"}
  assert list(first.lists) == [*budgets]
  for name, budget in budgets.items():
    lists = retrieve_lib.retrieve(
      retriever, cases[:1], retriever.reader.defaults(budget=budget).ask,
      size=examples.ITEMS, batch_size=1, quiet=True,
    )  # fmt: skip
    assert first.lists[name] == ids[lists.items[0]].tolist()


def test_there_are_at_most_as_many_examples_as_users(small, untrained, cases):
  small.decode.steps = 1
  found = examples.of_users(untrained(small), cases[:2], ("click",))
  assert [one.user for one in found] == [case.user for case in cases[:2]]
