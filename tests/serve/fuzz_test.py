"""Random calls of everything in the OpenAPI document.

The slow test sends 5,000 calls and more:
  launch/test.sh -m slow tests/serve/fuzz_test.py
"""

import collections

import hypothesis
import pytest
import schemathesis
from schemathesis import checks
from schemathesis.specs.openapi import checks as document_checks

from pinrec_jax.serve import openapi

FEW, MANY, SWAPS = 12, 1000, 4  # Cases of each call.
TOTAL = 5000  # Calls that the slow tests make at least.
calls = collections.Counter()  # Of the slow tests, by path and method.
CHECKS = [
  checks.not_a_server_error,
  document_checks.status_code_conformance,
  document_checks.content_type_conformance,
  document_checks.response_schema_conformance,
]


DOCUMENT = schemathesis.openapi.from_dict(openapi.document())
# A swap loads a bundle, which takes long.
SWAP = DOCUMENT.include(path="/v1/bundle", method="POST")
OTHERS = DOCUMENT.exclude(path="/v1/bundle", method="POST")


def cases(count):
  return hypothesis.settings(
    max_examples=count,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
      hypothesis.HealthCheck.filter_too_much,
      hypothesis.HealthCheck.too_slow,
      hypothesis.HealthCheck.data_too_large,
    ],
  )


@OTHERS.parametrize()
@cases(FEW)
def test_random_calls_are_answered(case, server):
  case.call_and_validate(checks=CHECKS, base_url=server.address, timeout=30)
  assert server.process.poll() is None


@SWAP.parametrize()
@cases(SWAPS)
def test_random_swaps_are_answered(case, server):
  case.call_and_validate(checks=CHECKS, base_url=server.address, timeout=60)
  assert server.process.poll() is None


@pytest.mark.slow
@OTHERS.parametrize()
@cases(MANY)
def test_many_random_calls_are_answered(case, server):
  calls[f"{case.method} {case.operation.path}"] += 1
  case.call_and_validate(checks=CHECKS, base_url=server.address, timeout=30)
  assert server.process.poll() is None


@pytest.mark.slow
def test_many_calls_were_made(request):
  ran = request.session.testsfailed == 0 and calls
  if not ran:
    pytest.skip("the test above did not run as a whole")
  print(f"{calls.total()} calls: {dict(calls)}")
  assert calls.total() >= TOTAL
