import pytest

from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import evaluate
from pinrec_jax.evals import retrieve as retrieve_lib


@pytest.fixture(scope="session")
def cases(world):
  return evaluation_cases.cases(world, "test")


@pytest.fixture(scope="session")
def shares():
  return {"click": 0.5, "save": 0.25, "like": 0.25}


@pytest.fixture(scope="session")
def retrieve(shares):
  """Returns the function from a retriever and users to their lists."""

  def of_users(retriever, cases, *, size=6, budget=shares, batch_size=40):
    return retrieve_lib.retrieve(
      retriever,
      cases,
      retriever.reader.defaults(budget=budget).ask,
      size=size,
      batch_size=batch_size,
      nearest=evaluate.DISTINCT_K,
      quiet=True,
    )

  return of_users
