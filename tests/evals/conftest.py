import pytest

from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import retrieval, run


@pytest.fixture(scope="session")
def cases(world):
  return evaluation_cases.cases(world, "test")


@pytest.fixture(scope="session")
def shares():
  return {"click": 0.5, "save": 0.25, "like": 0.25}


@pytest.fixture(scope="session")
def retrieve(shares):
  def of(retriever, cases, *, size=6, budget=shares):
    return retrieval.retrieve(
      retriever,
      cases,
      size=size,
      budget=budget,
      nearest=run.UNORDERED_K,
      quiet=True,
    )

  return of
