import json
import pathlib

import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, row_errors
from pinrec_jax.data import otto as otto_lib

FIXTURE = pathlib.Path(__file__).parent / "otto"


@pytest.fixture(scope="module")
def otto(tmp_path_factory):
  return dataset_lib.load(
    config_lib.Data(
      name="otto/sessions",
      source=str(FIXTURE),
      prepared_dir=str(tmp_path_factory.mktemp("prepared")),
    )
  )


def test_sessions_are_read_as_written(otto):
  lines = (FIXTURE / "train.jsonl").read_text().splitlines()
  told = {str(row["session"]): row["events"] for row in map(json.loads, lines)}
  assert set(otto.users) == set(told)
  assert sum(map(len, otto.events)) == 862
  names = otto.vocabulary.actions
  for user, events in zip(otto.users, otto.events, strict=True):
    expected = sorted(told[user], key=lambda event: event["ts"] // 1000)
    ids = otto.items.ids[events.item].tolist()
    assert ids == [event["aid"] for event in expected]
    assert events.time.tolist() == [event["ts"] // 1000 for event in expected]
    kinds = [names[n] for n in np.argmax(events.actions, -1)]
    assert kinds == [event["type"] for event in expected]
    assert (events.actions.sum(-1) == 1).all()
  faults = row_errors.load(otto.folder)
  assert (faults.rows, faults.rejected) == (20, 0)


def test_a_large_log_is_prepared_in_pieces(otto, tmp_path, monkeypatch):
  monkeypatch.setattr(otto_lib, "SPLIT", 200)
  config = config_lib.Data(
    name="otto/sessions", source=str(FIXTURE), prepared_dir=str(tmp_path)
  )
  pieces = dataset_lib.load(config)
  assert len(list(pieces.folder.glob("*users_*record*"))) > 1
  assert pieces.users == otto.users
  for one, other in zip(pieces.events, otto.events, strict=True):
    np.testing.assert_array_equal(one.item, other.item)


def test_the_last_event_is_the_test(otto):
  cases = evaluation_cases.cases(otto, "test")
  # A shorter one has none to spare for validation and test.
  assert len(cases) == sum(len(events) > 2 for events in otto.events) == 12
  assert {len(case.targets) for case in cases} == {1}


def test_too_many_broken_lines_are_an_error(tmp_path):
  lines = (FIXTURE / "train.jsonl").read_text().splitlines()
  (tmp_path / "train.jsonl").write_text("\n".join([*lines[:9], lines[9][:20]]))
  config = config_lib.Data(
    name="otto/sessions",
    source=str(tmp_path),
    prepared_dir=str(tmp_path / "made"),
  )
  with pytest.raises(
    ValueError, match=r"(?s)1 of 10 rows are bad.*train.jsonl:10"
  ):
    dataset_lib.load(config)
  config.max_bad_fraction = 0.2
  assert len(dataset_lib.load(config).users) == 9
