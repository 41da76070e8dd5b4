"""The daily update, from new files to a bundle that is current."""

import json
import os
import random
import subprocess
import sys
from typing import Any

import fsspec
import pytest

from pinrec_jax import cli, config_files, files, main, update, workflows
from pinrec_jax import config as config_lib
from pinrec_jax.buckets import addresses, work_folder
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import row_errors
from pinrec_jax.evals import evaluate
from pinrec_jax.inference import bundle, bundle_folders
from pinrec_jax.training import daily, loop

DAY = 86400
TIMES = ("seconds", "train_seconds", "log")


@pytest.fixture
def run(shop, tmp_path):
  """Returns the work folder of a run with a bundle."""
  config = shop.config()
  workflows.train(config, tmp_path / "run")
  workflows.build_index(config, tmp_path / "run")
  return tmp_path / "run"


def updated(config, workdir) -> dict[str, Any]:
  """Updates a run and returns the line of the day."""
  return update.update(config, workdir).day


def current(workdir):
  return bundle_folders.current(workdir / workflows.BUNDLES)


def test_two_days(shop, run, capsys):
  config, first = shop.config(), current(run)
  shop.day(3)
  shop.items(26)
  cli.run("update", config, run)
  lines = daily.read(run)
  assert [line["reason"] for line in lines] in (["passed"], ["worse"])
  line: dict[str, Any] = lines[0]
  assert line["gate_targets"] > 0
  assert line["targets"] > 0
  assert 0.2 < line["replayed"] / (line["targets"] + line["replayed"]) < 0.4
  out = capsys.readouterr().out
  assert "new targets and" in out
  assert "recall@3 on" in out
  assert (run / "days.png").is_file()
  report = json.loads((run / cli.REPORT).read_text())
  assert report["update"]["recall"] == line["recall"]
  # The same command again finds nothing new, and changes nothing.
  cli.run("update", config, run)
  assert daily.read(run) == lines
  assert "nothing is new" in capsys.readouterr().out
  if line["published"]:
    assert current(run) == line["bundle"] != first
    found = bundle.load(run)
    assert found.catalog.row_of["25"]
    assert len(found.candidates) == 26
  # The newest hours were not trained on; the next day trains on them.
  config = shop.config(**{"update.margin": 0.99, "train.seed": 1})
  shop.day(4)
  second = updated(config, run)
  assert second["published"]
  assert second["until"] > line["until"]
  assert second["targets"] > line["targets"]
  assert len(daily.read(run)) == 2


def test_a_stop_at_any_stage_ends_the_same(shop, run, tmp_path, monkeypatch):
  config = shop.config(**{"update.margin": 0.99})
  shop.day(3)
  stages = [
    (dataset_lib, "opened"),
    (loop, "train"),
    (update.gate, "measure"),
    (bundle, "write"),
    (files, "write_json"),
    (bundle_folders, "set_current"),
    (daily, "write"),
  ]
  for module, name in stages:
    real = getattr(module, name)

    def stopped(*args, real=real, **fields):
      real(*args, **fields)  # The stage is done, and the next one never starts.
      raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
      patch.setattr(module, name, stopped)
      with pytest.raises(OSError, match="No space left"):
        update.update(config, run)
  stopped_day = update.update(config, run).days
  assert len(stopped_day) == 1
  other = tmp_path / "other"
  config = shop.config(**{"update.margin": 0.99})
  config.data.prepared_dir = str(tmp_path / "again")
  events = shop.folder / "events" / "day3.csv"
  events.rename(tmp_path / "day3.csv")
  workflows.train(config_lib.replace(config), other)
  workflows.build_index(config_lib.replace(config), other)
  (tmp_path / "day3.csv").rename(events)
  whole = update.update(config, other).days
  for line in stopped_day + whole:
    for key in TIMES:
      line.pop(key)
  assert stopped_day == whole
  assert current(run) == current(other)


@pytest.mark.slow
def test_a_full_disk_publishes_nothing(shop, run, monkeypatch):
  before, config = current(run), shop.config()
  shop.day(3)

  def fail(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(bundle.safetensors.numpy, "save", fail)
  with pytest.raises(OSError, match="No space left"):
    update.update(shop.config(**{"update.margin": 0.99}), run)
  assert current(run) == before
  assert not daily.read(run)
  assert not [*(run / workflows.BUNDLES).glob(".new*")]
  monkeypatch.undo()
  assert len(update.update(config, run).days) == 1


def test_a_worse_model_is_not_published(shop, run, monkeypatch):
  before, recalls = current(run), iter((0.94, 1.0, 0.95, 1.0))
  real = evaluate.evaluate

  def measured(*args, **fields):
    found = real(*args, **fields)
    figures = found.figures | {"recall@3": next(recalls)}
    return found._replace(figures=figures)

  monkeypatch.setattr(evaluate, "evaluate", measured)
  shop.day(3)
  line = updated(shop.config(), run)
  assert (line["reason"], line["bundle"]) == ("worse", "")
  assert current(run) == before
  # The next day trains on all events since yesterday's model was trained.
  shop.day(4)
  second = updated(shop.config(), run)
  assert second["reason"] == "passed"
  assert second["targets"] > 1.5 * line["targets"]
  # An operator goes back to the bundle of the run; it is yesterday's model.
  monkeypatch.undo()
  bundle_folders.set_current(run / workflows.BUNDLES, before)
  shop.day(5)
  third = updated(shop.config(), run)
  assert third["targets"] > second["targets"]


def test_a_day_without_events_publishes_the_new_items(shop, run):
  shop.write("day3.csv", [])
  shop.items(27, without=(2,))
  line = updated(shop.config(**{"update.gate_hours": 1000.0}), run)
  assert (line["reason"], line["model"]) == ("unchanged", "")
  found = bundle.load(run)
  assert found.provenance.version == line["bundle"]
  assert len(found.candidates) == 26
  assert not found.catalog.items.candidate[found.catalog.row_of["2"]]


def test_a_day_with_one_user(shop, run):
  """Nobody can be measured, so nothing is published; nothing is lost."""
  before = current(run)
  start = 19_003 * DAY
  rows = [("new", n, start + 60 * n, "click") for n in range(4)]
  shop.write("day3.csv", rows)
  config = shop.config(**{"update.gate_hours": 0.01})
  line = updated(config, run)
  assert (line["reason"], line["users"]) == ("unmeasured", 0)
  assert current(run) == before
  shop.day(4)
  assert updated(shop.config(), run)["targets"] > 30


def test_a_run_that_cannot_be_updated_says_why(shop, run, tmp_path):
  with pytest.raises(FileNotFoundError, match="run --mode=train first"):
    update.update(shop.config(), tmp_path / "none")
  config = shop.config(**{"data.events": "", "data.items": ""})
  config.data.name, config.data.custom.column_types = "synthetic", ""
  with pytest.raises(ValueError, match="appends files to a custom log"):
    update.update(config, run)
  with pytest.raises(
    ValueError, match=r"update\.margin is 1\.5; use 0 or more"
  ):
    update.update(shop.config(**{"update.margin": 1.5}), run)
  (run / daily.LINES).write_text("{}\n{")
  with pytest.raises(ValueError, match=r"days\.jsonl:2 is damaged"):
    update.update(shop.config(), run)


def test_a_bundle_without_checkpoints_is_named(shop, run):
  shop.day(3)
  config = shop.config(**{"update.margin": 0.99})
  line = updated(config, run)
  (run / line["model"]).rename(run / "away")
  shop.day(4)
  with pytest.raises(
    FileNotFoundError, match=r"checkpoints in .* were deleted"
  ):
    update.update(config, run)


@pytest.mark.slow
def test_kills_at_random_moments(shop, run, tmp_path):
  """Twenty kills; every run then ends with one line and a whole bundle."""
  config = shop.config(**{"update.margin": 0.99})
  path = tmp_path / "config.py"
  path.write_text(
    "from pinrec_jax import config, config_files\n"
    "def get_config():\n"
    "  return config_files.from_json(config.Config, "
    f"{config_files.to_json(config)!r}, 'json')\n"
  )
  command = [
    sys.executable, "-m", main.__name__, f"--config={path}",
    f"--workdir={run}", "--mode=update",
  ]  # fmt: skip
  random.seed(0)
  number, kills = 3, 0
  while kills < 20:
    shop.day(number)
    while True:
      process = subprocess.Popen(command, env=os.environ | {"XLA_FLAGS": ""})
      try:
        assert process.wait(random.uniform(1, 25)) == 0
        break
      except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        kills += 1
        bundle.load(run)  # The current bundle is whole at any moment.
      if kills >= 20:
        assert subprocess.run(command, check=False).returncode == 0
        break
    number += 1
    lines = daily.read(run)
    assert len(lines) == number - 3
    published = [line for line in lines if line["published"]]
    assert not published or current(run) == published[-1]["bundle"]
    assert row_errors.load(dataset_lib.prepare(config.data)).rows


def test_an_update_on_a_machine_with_an_empty_disk(shop, tmp_path, monkeypatch):
  """The work folder and the prepared logs are in a bucket."""
  bucket = fsspec.filesystem("memory")
  bucket.store.clear()
  run = "memory://b/run"
  config = shop.config(**{"update.margin": 0.99})
  config.data.prepared_dir = "memory://b/prepared"
  monkeypatch.setenv("PINREC_STAGING", str(tmp_path / "first"))
  workflows.train(config, run)
  workflows.build_index(config, run)
  shop.day(3)
  monkeypatch.setenv("PINREC_STAGING", str(tmp_path / "second"))
  line = updated(config, run)
  assert line["published"]
  assert line["log"].startswith("memory://b/prepared/")
  pointer = bucket.cat_file("/b/run/bundles/current").decode().strip()
  assert pointer == line["bundle"]
  assert bucket.exists(f"/b/run/{line['model']}/{update.DAY}")
  monkeypatch.setenv("PINREC_STAGING", str(tmp_path / "third"))
  assert not update.update(config, run).day
  log = dataset_lib.opened(config.data, addresses.local(line["log"]))
  assert sum(map(len, log.events)) > 3 * 30  # Those of the earlier days, too.
  found = bundle.load(work_folder.readable(run))
  assert found.provenance.version == line["bundle"]
  bucket.store.clear()
