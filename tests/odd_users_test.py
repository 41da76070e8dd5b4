"""Users with few or strange events, from a log's files to an evaluation."""

import numpy as np
import optax
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, histories, splits, statistics
from pinrec_jax.evals import evaluate, retrieve
from pinrec_jax.inference import bundle, engine
from pinrec_jax.model import pinrec
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import training_data

START = 1_700_000_000
# Item and action, in the order of the file. User "u" is a usual user.
SAME = [
  (9, "click"), (3, "impression"), (7, "click"), (1, "click"),
  (8, "impression"), (2, "click"), (5, "click"),
]  # fmt: skip


def configured(tmp_path, history_events, users):
  """Returns the configuration of a log with these users."""
  lines = ["user,item,time,action"]
  for user, seconds, events in users:
    for n, (item, action) in enumerate(events):
      lines.append(f"{user},{item},{START + seconds * n},{action}")
  (tmp_path / "events.csv").write_text("\n".join(lines))
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=8, num_layers=1, num_heads=2, embedding_dim=8, table_size=64
    ),
    index=config_lib.Index(filter_seen="engagements"),
    evals=config_lib.Evals(cutoffs=(2, 3), batch_size=4),
  )
  config.data = config_lib.Data(
    name="custom_log", events=str(tmp_path / "events.csv"), sequence_length=8,
    prepared_dir=str(tmp_path / "prepared"), history_events=history_events,
  )  # fmt: skip
  config.data.custom.actions = "click"
  return config


@pytest.fixture(params=["engagements", "exposures"])
def log(request, tmp_path):
  """A configuration and its log: a usual user, and three odd ones."""
  config = configured(
    tmp_path,
    request.param,
    [
      # First, so that the items' rows are not in the order of "same".
      ("u", 60, [(n, "click") for n in (1, 2, 3, 4)]),
      ("one", 60, [(4, "click")]),
      ("same", 0, SAME),
      ("shown", 60, [(n, "impression") for n in (1, 2)]),
    ],
  )
  return config, dataset_lib.load(config.data)


def test_statistics_count_odd_users(log):
  config, dataset = log
  figures = statistics.of_dataset(dataset, config.data.session_gap).figures
  assert figures["users"] == 4
  assert figures["users/engaged"] == 3
  assert figures["users/one_engagement"] == 1
  assert figures["events/shown_only"] == 4
  assert figures["gap/p5"] == 0


def test_odd_users_are_trained_on_what_they_have(log):
  config, dataset = log
  place = dict(zip(dataset.users, dataset.events, strict=True))
  ids = dataset.items.ids
  same = place["same"]
  # Events of the same time stay in the order of the file.
  assert ids[same.item].tolist() == [item for item, _ in SAME]
  assert len(set(same.time.tolist())) == 1

  def trained(user):
    past = splits.past(dataset.vocabulary, place[user], "validation")
    return histories.training(past, config.data, end=0, outcomes=1)

  ((tokens, targets),) = trained("same")
  read, wanted = {
    "engagements": ([9, 7, 1], [9, 7, 1]),
    "exposures": ([9, 3, 7, 1], [9, 7, 7, 1]),
  }[config.data.history_events]
  assert ids[tokens.item[1:]].tolist() == read[:-1]
  assert ids[targets.item].tolist() == wanted
  ((tokens, targets),) = trained("one")
  assert (tokens.item.tolist(), ids[targets.item].tolist()) == ([0], [4])
  assert trained("shown") == []
  rows, _ = training_data.packed(config, dataset)
  assert len(rows) == 1


def test_odd_users_are_evaluated_and_served(log):
  config, dataset = log
  ids = dataset.items.ids
  model = pinrec.of_config(config, dataset.vocabulary)
  retriever = engine.Retriever(
    bundle.create(
      config_lib.inference(config),
      state_lib.create(model, optax.identity()).params,
      dataset.catalog,
      statistics.outcome_fractions(dataset),
    )
  )
  for split, item in (("validation", [2, 3]), ("test", [5, 4])):
    cases = evaluation_cases.cases(dataset, split)
    assert [case.user for case in cases] == ["same", "u"]
    assert [ids[case.targets.item].item() for case in cases] == item
    figures = evaluate.evaluate(
      retriever, cases, config.evals, groups={}, quiet=True
    ).figures
    assert all(np.isfinite(list(figures.values())))
  # Users without an event that the model reads get candidates, too.
  place = dict(zip(dataset.users, dataset.events, strict=True))
  odd = [
    evaluation_cases.Case(user, place[user], place["same"].where(slice(0, 1)))
    for user in ("one", "shown")
  ]
  lists = retrieve.retrieve(
    retriever, odd, retriever.reader.defaults().ask, size=3, batch_size=4,
    quiet=True,
  )  # fmt: skip
  assert lists.items.shape == (2, 3)
  assert (lists.items > 0).all()


@pytest.mark.parametrize("split", splits.SPLITS)
def test_a_log_without_users_to_evaluate_is_refused(tmp_path, split):
  events = [(1, "click"), (2, "click")]
  config = configured(
    tmp_path, "engagements", [("a", 60, events), ("b", 9, events)]
  )
  dataset = dataset_lib.load(config.data)
  with pytest.raises(ValueError, match=f"no user of .* in the {split} period"):
    evaluation_cases.cases(dataset, split)
