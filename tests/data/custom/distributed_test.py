"""The pipeline prepares what one process does."""

import json

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import row_errors, store, synthetic
from pinrec_jax.data.custom import parts

RUNNERS = (
  "--runner=DirectRunner",
  "--runner=DirectRunner --direct_running_mode=multi_processing "
  "--direct_num_workers=2",
)


@pytest.fixture
def log(tmp_path, monkeypatch):
  """Returns a function to a configuration; the log has several parts."""
  monkeypatch.setattr(parts, "BYTES", 2_000)  # more than one part
  folder = tmp_path / "log"
  folder.mkdir()
  world = config_lib.Synthetic(users=40, items=30, topics=5, events=9)
  (frame,) = synthetic.logs(world)
  frame["surface"] = np.where(frame["user"] % 2, "feed", "")
  rows = frame.sort_values("time").assign(
    click=frame["click"].astype(int), save=frame["save"].astype(int)
  )
  rows = rows.drop(columns="engaged")
  rows[:200].to_csv(folder / "a.csv", index=False)
  # With some rows again, and one bad.
  rest = pd.concat([rows[190:].astype(object), rows[:1].assign(time="soon")])
  rest.to_csv(folder / "b.csv", index=False)
  items = [{"item": n, "tag": n % 3, "price": n} for n in range(20)]
  (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, items)))

  def config(beam):
    data = config_lib.Data(
      name="custom_log", events=str(folder), beam_options=beam
    )
    data.items = str(tmp_path / "items.jsonl")
    data.prepared_dir = str(tmp_path / f"prepared{len(beam)}")
    data.max_bad_fraction = 0.1
    data.custom.actions, data.custom.action = "click,save", ""
    data.custom.numbers = "price"
    return data

  return config


@pytest.mark.parametrize("beam", RUNNERS)
def test_a_pipeline_prepares_the_same(log, beam):
  alone, together = (dataset_lib.load(log(options)) for options in ("", beam))
  assert alone.users == together.users
  assert len(alone.users) == 40
  assert alone.vocabulary == together.vocabulary
  assert alone.catalog.values == together.catalog.values
  for one, other in zip(alone.items, together.items, strict=True):
    np.testing.assert_array_equal(one, other)
  for one, other in zip(alone.events, together.events, strict=True):
    for name in store.COLUMNS:
      np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
  one, other = (row_errors.load(d.folder) for d in (alone, together))
  assert (
    one.counts == other.counts == {"duplicate": 10, "time cannot be read": 1}
  )
  assert one.notes == other.notes
  assert one.rows == other.rows
  assert (
    one.examples["time cannot be read"]
    == ["b.csv:172 time='soon'"]
    == other.examples["time cannot be read"]
  )


def test_too_many_bad_rows_stop_a_pipeline(log):
  config = log(RUNNERS[0])
  config.max_bad = 0.001
  with pytest.raises(Exception, match="rows are bad"):
    dataset_lib.load(config)


def test_a_log_without_a_good_row_stops_a_pipeline(log, tmp_path):
  config = log(RUNNERS[0])
  config.events = str(tmp_path / "none.csv")
  (tmp_path / "none.csv").write_text("user,item,time,click,save\n")
  with pytest.raises(Exception, match="holds no good row"):
    dataset_lib.load(config)


def test_only_an_own_log_is_prepared_so(log):
  config = log(RUNNERS[0])
  config.name = "kuairand/mini"
  with pytest.raises(
    ValueError, match=r"data\.beam_options is .* only custom_log"
  ):
    dataset_lib.load(config)
