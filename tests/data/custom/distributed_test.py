"""A pipeline prepares the same log as one process."""

import json

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import row_errors, schema, synthetic

RUNNERS = (
  "--runner=FnApiRunner",
  "--direct_running_mode=multi_processing --direct_num_workers=2",
)


@pytest.fixture
def log(tmp_path):
  """Returns a function to a configuration; the log has two files."""
  folder = tmp_path / "log"
  folder.mkdir()
  size = synthetic.Size(items=30, topics=5, events=9)
  (frame,) = synthetic.logs(range(40), size)
  frame["surface"] = np.where(frame["user"] % 2, "feed", "")
  rows = frame.sort_values("time").assign(
    click=frame["click"].astype(int), save=frame["save"].astype(int)
  )
  rows = rows.drop(columns="engaged")
  rows[:200].to_csv(folder / "a.csv", index=False)
  # With some rows again, and one bad row.
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
    data.custom.column_types = "price:number"
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
    for name in schema.COLUMNS:
      np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
  one, other = (row_errors.load(d.folder) for d in (alone, together))
  assert one == other
  assert one.counts == {"time cannot be read": 1}
  assert one.dropped == {"duplicate": 10}
  assert one.examples["time cannot be read"] == ["b.csv:172 time='soon'"]


@pytest.mark.parametrize("name", ["kuairand/mini", "synthetic"])
def test_only_a_custom_log_is_prepared_by_a_pipeline(log, name):
  config = log(RUNNERS[0])
  config.name = name
  with pytest.raises(
    ValueError, match=r"data\.beam_options is .* only custom_log"
  ):
    dataset_lib.load(config)


def test_an_option_that_beam_does_not_know_is_named(log):
  with pytest.raises(
    ValueError, match=r"config\.data\.beam_options is .*workers is unknown"
  ):
    dataset_lib.load(log("--workers=2"))


def test_too_many_bad_rows_stop_a_pipeline(log, tmp_path):
  config = log(RUNNERS[0])
  config.max_bad_fraction = 0.001
  with pytest.raises(ValueError, match="rows are bad"):
    dataset_lib.load(config)
  config.events = str(tmp_path / "none.csv")
  (tmp_path / "none.csv").write_text("user,item,time,click,save\n")
  with pytest.raises(ValueError, match="have no good row"):
    dataset_lib.load(config)
