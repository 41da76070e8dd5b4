"""The command line retrieves what an evaluation reports, for the same users."""

import json
import os
import subprocess
import sys

import numpy as np

from pinrec_jax.data import evaluation_cases, schema
from pinrec_jax.evals import evaluate, metrics
from pinrec_jax.inference import bundle


def written(events, catalog, names):
  """Yields the events of a history as a client would send them."""
  items = catalog.items.ids[events.item].tolist()
  for n, item in enumerate(items):
    chosen = np.flatnonzero(events.actions[n])
    event = {"item": item, "actions": [names.actions[a] for a in chosen]}
    if events.surface[n]:
      event["surface"] = names.surfaces[events.surface[n]]
    if events.time[n] != schema.UNKNOWN_TIME:
      event["time"] = int(events.time[n])
    yield event | {"shown_only": not events.engaged[n]}


def test_all_test_users_are_answered_with_the_recall_of_the_report(
  small, untrained, mini, tmp_path
):
  small.data.sequence_length, small.decode.candidates = 32, 100
  small.evals.cutoffs, small.index.kind = (10, 100), "exact"
  cases = evaluation_cases.cases(mini, "test")
  retriever = untrained(small, mini)
  report = evaluate.evaluate(
    retriever, cases, small.evals, groups={}, quiet=True
  ).figures
  catalog = mini.catalog
  lines = [
    json.dumps(
      {
        "user": case.user,
        "events": [*written(case.past, catalog, mini.vocabulary)],
      }
    )
    for case in cases
  ]
  bundle.save(retriever.bundle, tmp_path / "bundles")
  histories = tmp_path / "histories.jsonl"
  histories.write_text("\n".join(lines))
  done = subprocess.run(
    [sys.executable, "-m", "pinrec_jax.main", "--mode=retrieve", "--strict",
     f"--workdir={tmp_path}", f"--histories={histories}"],
    capture_output=True,
    text=True,
    timeout=300,
    env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  answers = [json.loads(line) for line in done.stdout.splitlines()]
  assert [answer["user"] for answer in answers] == [case.user for case in cases]
  found = [[one["item"] for one in own["candidates"]] for own in answers]
  lists = np.array([[catalog.row_of[str(i)] for i in own] for own in found])
  # Some users have seen items before the test, and engaged with none.
  bare = [not case.past.engaged.any() for case in cases]
  assert sum(bare) == 15
  assert lists.shape == (len(cases), 100)
  targets = metrics.targets(cases)
  for k in (10, 100):
    recall = metrics.recall(metrics.found(lists, targets, k))
    np.testing.assert_allclose(recall, report[f"recall@{k}"], atol=1e-6)
