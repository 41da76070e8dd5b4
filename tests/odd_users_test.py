"""Users with hardly an event, from a log's files to an evaluation."""

import numpy as np
import optax
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, histories, splits, statistics
from pinrec_jax.evals import retrieval, run
from pinrec_jax.model import pinrec
from pinrec_jax.serve import retriever
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import training_data

START = 1_700_000_000
# Item and action, in the order of the file; u is a usual user.
SAME = [
  (9, "click"), (3, "impression"), (7, "click"), (1, "click"),
  (8, "impression"), (2, "click"), (5, "click"),
]  # fmt: skip


def _config(tmp_path, inputs, users):
  lines = ["user,item,time,action"]
  for user, seconds, told in users:
    for n, (item, action) in enumerate(told):
      lines.append(f"{user},{item},{START + seconds * n},{action}")
  (tmp_path / "events.csv").write_text("\n".join(lines))
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=8, num_layers=1, num_heads=2, embedding_dim=8, table_size=64
    ),
    evals=config_lib.Evals(cutoffs=(2, 3), batch_size=4),
  )
  config.data = config_lib.Data(
    name="custom_log", events=str(tmp_path / "events.csv"), sequence_length=8,
    prepared_dir=str(tmp_path / "prepared"), history_events=inputs,
  )  # fmt: skip
  config.data.custom.actions = "click"
  return config


@pytest.mark.parametrize("inputs", ["engagements", "exposures"])
def test_odd_users_go_the_whole_way(tmp_path, inputs):
  usual = [(n, "click") for n in (1, 2, 3, 4)]
  config = _config(
    tmp_path,
    inputs,
    [
      # First, so that the items' rows are not in the order of "same".
      ("u", 60, usual),
      ("one", 60, [(4, "click")]),
      ("same", 0, SAME),
      ("shown", 60, [(n, "impression") for n in (1, 2)]),
    ],
  )
  dataset = dataset_lib.load(config.data)
  figures = statistics.of_dataset(dataset, config.data.session_gap).figures
  assert figures["users"] == 4
  assert figures["users/engaged"] == 3
  assert figures["users/one_engagement"] == 1
  assert figures["events/shown_only"] == 4
  assert figures["gap/p5"] == 0
  place = dict(zip(dataset.users, dataset.events, strict=True))
  ids = dataset.items.ids
  same = place["same"]
  assert ids[same.item].tolist() == [item for item, _ in SAME]
  assert len(set(same.time.tolist())) == 1

  def trained(user):
    past = splits.past(dataset.vocabulary, place[user], "validation")
    return histories.training(past, config.data, end=0, outcomes=1)

  ((tokens, targets),) = trained("same")
  read = {"engagements": [9, 7, 1], "exposures": [9, 3, 7, 1]}[inputs]
  assert ids[tokens.item[1:]].tolist() == read[:-1]
  want = {"engagements": [9, 7, 1], "exposures": [9, 7, 7, 1]}[inputs]
  assert ids[targets.item].tolist() == want
  ((tokens, targets),) = trained("one")
  assert (tokens.item.tolist(), ids[targets.item].tolist()) == ([0], [4])
  assert trained("shown") == []
  rows, corpus = training_data.packed(config, dataset)
  assert len(rows) == 1
  assert corpus.share.sum() == pytest.approx(1)
  model = pinrec.of_config(config, dataset.vocabulary)
  params = state_lib.create(model, optax.identity()).params
  ready = retriever.of_dataset(config, model, params, dataset)
  for split, item in (("validation", [2, 3]), ("test", [5, 4])):
    cases = evaluation_cases.cases(dataset, split)
    assert [case.user for case in cases] == ["same", "u"]
    assert [ids[case.targets.item].item() for case in cases] == item
    report = run.evaluate(ready, cases, items={}, quiet=True)
    assert all(np.isfinite(list(report.values())))
  # Whoever has no past worth the name may still be asked for.
  odd = [
    evaluation_cases.Case(user, place[user], same.where(slice(0, 1)))
    for user in ("one", "shown")
  ]
  lists = retrieval.retrieve(
    ready, odd, size=3, budget=ready.budget(), quiet=True
  )
  assert lists.items.shape == (2, 3)


@pytest.mark.parametrize("split", splits.SPLITS)
def test_a_log_of_which_nobody_can_be_evaluated_is_said(tmp_path, split):
  told = [(1, "click"), (2, "click")]
  config = _config(tmp_path, "engagements", [("a", 60, told), ("b", 9, told)])
  dataset = dataset_lib.load(config.data)
  with pytest.raises(ValueError, match=f"nobody .* in the {split} period"):
    evaluation_cases.cases(dataset, split)
