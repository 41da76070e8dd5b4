"""The public interface: from a configuration to candidates, in Python."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import pinrec_jax
from pinrec_jax import cli, files, opening, twin, workflows
from pinrec_jax import config as config_lib
from pinrec_jax.data import synthetic
from pinrec_jax.evals import baselines
from pinrec_jax.inference import bundle
from pinrec_jax.model import item_embedder
from pinrec_jax.training import loop


@pytest.fixture(scope="module")
def tiny(tiny_config):
  """Returns the function from a folder of a test to a configuration."""
  return lambda folder: tiny_config(folder / "prepared")


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny):
  """Returns a configuration and the work folder of its run."""
  folder = tmp_path_factory.mktemp("workflows")
  config, workdir = tiny(folder), folder / "run"
  pinrec_jax.train(config, workdir)
  pinrec_jax.build_index(config, str(workdir))
  return config, workdir


def test_there_are_at_most_twelve_public_names_and_each_is_documented():
  assert len(pinrec_jax.__all__) <= 12
  for public in pinrec_jax.__all__:
    assert getattr(pinrec_jax, public).__doc__
  name = "nothing"
  with pytest.raises(AttributeError, match="no attribute 'nothing'"):
    getattr(pinrec_jax, name)


def test_importing_the_package_loads_no_jax():
  code = "import pinrec_jax, sys; print('jax' in sys.modules)"
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "False"


def test_a_run_answers_requests(run):
  _, workdir = run
  retriever = pinrec_jax.Retriever.load(workdir)
  assert retriever.outcomes == ("click", "save")
  assert "unknown" in retriever.surfaces
  item = retriever.bundle.catalog.items.ids[1].item()
  request = {"user": "u", "events": [{"item": item, "actions": ["click"]}]}
  (one,) = retriever.retrieve([request], budget={"save": 1.0})
  assert [c["outcome"] for c in one["candidates"]] == ["save"] * 5
  assert item not in [c["item"] for c in one["candidates"]]
  assert (one["model_step"], len(one["bundle"])) == (4, 16)
  lines = [json.dumps(request), " \n", json.dumps(request).encode()]
  two = list(retriever.retrieve(lines, budget="save:1", candidates=3))
  assert [answer["candidates"] for answer in two] == [one["candidates"][:3]] * 2
  with pytest.raises(ValueError, match="unknown outcome 'like'"):
    list(retriever.retrieve([], budget={"like": 1.0}))


def test_prepare_reports_the_log(run):
  config, workdir = run
  report = pinrec_jax.prepare(config, workdir)
  figures = report.figures()
  assert (figures["data/users"], figures["data/items"]) == (60, 40)
  assert figures["data/filter_seen"] == report.repeats.filter_seen
  assert figures["data/repeats/all"] == report.repeats.fraction()
  assert report.row_errors.rejected == 0
  assert report.folder.is_dir()


def test_evaluation_reports_every_model(run):
  config, workdir = run
  report = pinrec_jax.evaluate(config, str(workdir))
  # There is no twin.
  assert list(report.models) == ["PinRec-OC", *baselines.NAMES]
  figures = report.figures()
  assert figures["recall@3"] == report.models["PinRec-OC"]["recall@3"]
  popular = report.models["popularity"]["recall@3"]
  assert figures["popularity_recall@3"] == popular
  assert figures["test_users"] == report.users
  assert (
    figures["last_items_recall@3"] == (report.models["last items"]["recall@3"])
  )
  assert report.outcome_targets == {
    name: figures[f"test_targets/{name}"] for name in ("click", "save")
  }
  assert figures["filter_seen"] == "engagements"
  # Four steps are too few, and the report says so.
  assert "training read the log at most" in report.verdict
  assert figures["sweep/0/budget/click"] == 1
  assert len(report.examples) == 3


def test_the_verdict_is_the_last_line(run, capsys):
  config, workdir = run
  cli.run("evaluate", config, workdir)
  out = capsys.readouterr().out.splitlines()
  assert out[-1].startswith("PinRec-OC ")
  assert "recall@3 of" in out[-1]
  assert out[-2] == f"report: {workdir / 'report.json'}"
  report = json.loads((workdir / "report.json").read_text())["evaluate"]
  assert report["verdict"] == out[-1]
  # Each outcome of the sweep has a row for every model.
  for name in ("PinRec-OC", *baselines.NAMES):
    rows = [line for line in out if f"| {name} " in line and " to " in line]
    assert [line.split()[1] for line in rows] == ["all", "click", "save"]


def _repeating(tiny, folder):
  """Returns a configuration of a log in which users repeat four items."""
  path = folder / "events.csv"
  path.write_text(
    "user,item,action,time\n"
    + "".join(
      f"u{u},i{(u * 7 + k % 4) % 50},click,{1700000000 + k * 3600}\n"
      for u in range(40)
      for k in range(12)
    )
  )
  config = tiny(folder)
  config.data.name, config.data.events = "custom_log", str(path)
  config.index.filter_seen, config.evals.sweep = "auto", ("*",)
  config.evals.twin = False
  return config


def test_training_evaluation_and_serving_leave_out_the_same(tiny, tmp_path):
  """Of a log with repeats, nothing."""
  config = _repeating(tiny, tmp_path)
  prepared = pinrec_jax.prepare(config, tmp_path / "run")
  report = workflows.demo(config, tmp_path / "run")
  assert prepared.repeats.fraction("click") > 0.5
  assert prepared.repeats.filter_seen == "nothing"
  assert report.train.filter_seen == report.evaluate.filter_seen == "nothing"
  written = json.loads((tmp_path / "run" / "config.json").read_text())
  assert written["index"]["filter_seen"] == "nothing"
  assert written["evals"]["sweep"] == ["click"]
  given = config_lib.inference(config)
  assert given.index.filter_seen == "auto"
  # A configuration that says auto leaves the choice of the bundle.
  for changes in ({}, {"index": given.index, "decode": given.decode}):
    retriever = pinrec_jax.Retriever.load(tmp_path / "run", **changes)
    assert retriever.bundle.config.index.filter_seen == "nothing"
    events = [{"item": f"i{n}", "actions": ["click"]} for n in range(4)]
    (answer,) = retriever.retrieve(
      [{"user": "me", "events": events}], candidates=50
    )
    found = {c["item"] for c in answer["candidates"]}
    assert {"i0", "i1", "i2", "i3"} <= found
  assert report.evaluate.models["last items"]["recall@6"] == 1


def test_a_run_keeps_its_filter_if_the_log_changes(tiny, tmp_path):
  config = _repeating(tiny, tmp_path)
  pinrec_jax.train(config, tmp_path / "run")
  _, dataset = opening.load(config)
  once = [own.where(slice(1)) for own in dataset.events]
  few = dataclasses.replace(dataset, events=once)
  assert opening.follow(config, few).index.filter_seen == "engagements"
  _, retriever = pinrec_jax.build_index(config, tmp_path / "run", few)
  assert retriever.bundle.config.index.filter_seen == "nothing"


def test_exact_search_has_no_recall_of_scann(run):
  config, workdir = run
  report, _ = pinrec_jax.build_index(config, workdir)
  assert report.index == "exact"
  assert "scann_recall@100" not in report.figures()


def test_the_bundle_and_the_evaluation_embed_the_items_once(run, monkeypatch):
  config, workdir = run
  hashed = []
  rows = item_embedder.hashed_rows

  def counted(ids, *sizes):
    hashed.append(len(ids))
    return rows(ids, *sizes)

  monkeypatch.setattr(item_embedder, "hashed_rows", counted)
  config, dataset = opening.load(config)
  _, retriever = pinrec_jax.build_index(config, workdir, dataset)
  pinrec_jax.evaluate(config, workdir, dataset, retriever)
  assert hashed == [41]


def test_validations_hash_no_item_again(run, tmp_path, monkeypatch):
  config, _ = run
  calls = []
  features = item_embedder.features

  def counted(*arguments):
    calls.append(len(arguments[0].ids))
    return features(*arguments)

  monkeypatch.setattr(item_embedder, "features", counted)
  created = []
  create = bundle.create

  def kept(*arguments, **options):
    created.append(options["features"])
    return create(*arguments, **options)

  monkeypatch.setattr(loop.bundle, "create", kept)
  config = config_lib.replace(config, **{"train.eval_every": 1})
  pinrec_jax.train(config, tmp_path)
  assert len(created) == 4
  assert calls == [41]  # For the training itself.


@pytest.mark.slow
def test_a_demo_is_compared_with_its_twin(tiny, tmp_path, caplog):
  config = tiny(tmp_path)
  config.train.steps = 2
  config.evals.cutoffs = (3, 39)  # Users have seen some of the 40 items.
  with caplog.at_level("WARNING", logger="absl"):
    report = workflows.demo(config, tmp_path / "run")
  assert list(report.evaluate.models) == [
    "PinRec-OC", "PinRec-UC", *baselines.NAMES,
  ]  # fmt: skip
  assert report.twin is not None
  figures = report.figures()
  assert {"uc_recall@39", "popularity_ndcg@3", "index_items"} <= set(figures)
  # The twin generates the same number of vectors.
  twin_figures = report.evaluate.models["PinRec-UC"]
  assert twin_figures["vectors"] == figures["vectors"] == 2
  assert report.evaluate.short_list is not None
  user, left = report.evaluate.short_list
  assert left < 39
  (line,) = [m for m in caplog.messages if "items left to recommend" in m]
  assert repr(user) in line
  assert str(left) in line
  assert twin.is_trained(config, tmp_path / "run")
  assert not twin.is_trained(config, tmp_path / "other")


def test_the_twin_has_no_conditions():
  config = config_lib.Config()
  config.decode.budget, config.decode.offsets = "click:1", (60,)
  config.train.init_from = "runs/other"
  other = twin.of_config(config)
  assert not other.model.conditioned
  assert (other.decode.budget, other.decode.offsets) == ("", ())
  assert pathlib.Path(other.train.init_from) == pathlib.Path("runs/other/uc")
  assert config.model.conditioned
  assert not twin.wanted(other)


@pytest.mark.parametrize(
  ("items", "cutoffs"),
  [(24, (10, 50)), pytest.param(8, (10,), marks=pytest.mark.slow)],
)
def test_a_catalog_smaller_than_the_lists_is_trained_and_evaluated(
  tiny, tmp_path, monkeypatch, items, cutoffs
):
  """Validation asks for ten candidates, users have seen some of them."""
  config = tiny(tmp_path)
  size = synthetic.Size(items=items, topics=2, events=20)
  monkeypatch.setattr(synthetic, "SIZE", size)
  config.train.steps, config.evals.cutoffs = 2, cutoffs
  config.evals.twin = False
  report = workflows.demo(config, tmp_path / "run")
  recall = report.evaluate.models["PinRec-OC"][f"recall@{max(cutoffs)}"]
  assert 0 <= recall <= 1
  (answer,) = pinrec_jax.Retriever.load(tmp_path / "run").retrieve(
    [{"user": "new"}], candidates=max(cutoffs)
  )
  assert len(answer["candidates"]) == items


def test_a_log_without_test_users_is_refused_before_training(
  tiny, tmp_path, monkeypatch
):
  path = tmp_path / "events.csv"
  path.write_text("user,item,time,action\na,1,5,click\na,2,6,click\n")
  config = tiny(tmp_path)
  config.data.name, config.data.events = "custom_log", str(path)
  config.data.custom.actions = "click"
  config.evals.sweep, config.train.train_on_validation = (), True

  def fail(*_, **__):
    raise AssertionError("it was trained")

  monkeypatch.setattr(workflows.loop, "train", fail)
  with pytest.raises(ValueError, match=r"no user of .* in the test period"):
    workflows.demo(config, tmp_path / "run")


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("loss.objective", "next", "objective 'next' is unknown|'next'"),
    ("model.backbone", "rnn", "'rnn'"),
    ("train.batch_size", -1, "config.train.batch_size is -1; use 0 or more"),
  ],
)
def test_a_bad_field_is_named_before_any_work(
  tiny, tmp_path, field, value, message
):
  config = config_lib.replace(tiny(tmp_path), **{field: value})
  with pytest.raises(ValueError, match=message):
    pinrec_jax.train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_an_address_of_an_unknown_kind_is_refused(tiny, tmp_path):
  with pytest.raises(ValueError, match="'az://b/run' is an address of an unkn"):
    pinrec_jax.train(tiny(tmp_path), "az://b/run")


def test_two_trainings_in_one_folder_are_refused(tiny, tmp_path):
  workdir = tmp_path / "run"
  with (
    files.locked(workdir),
    pytest.raises(ValueError, match=r"run is in use by .*; wait until it ends"),
  ):
    pinrec_jax.train(tiny(tmp_path), workdir)
  assert not (workdir / "checkpoints").exists()


def test_a_tilde_is_the_home_folder_in_python_too(tiny, tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  monkeypatch.chdir(tmp_path)
  config = tiny(tmp_path)
  config.data.prepared_dir = "~/prepared"
  assert workflows.check(config, "~/run") == tmp_path / "home" / "run"
  assert pinrec_jax.prepare(config, "~/run").folder.is_relative_to(
    tmp_path / "home" / "prepared"
  )
  for call in (pinrec_jax.build_index, pinrec_jax.evaluate):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*home/run"):
      call(config, "~/run")
  with pytest.raises(FileNotFoundError, match=r"no bundle in .*home/run"):
    pinrec_jax.Retriever.load("~/run")
  assert not (tmp_path / "~").exists()


def test_a_missing_checkpoint_says_to_train(tiny, tmp_path):
  config = tiny(tmp_path)
  with pytest.raises(FileNotFoundError, match="train first"):
    pinrec_jax.build_index(config, tmp_path / "run")


@pytest.mark.slow
def test_cold_items_are_hidden_where_ids_are_dropped(
  tiny, tmp_path, monkeypatch
):
  # Few events, so that some items have no engagement.
  size = synthetic.SIZE._replace(events=4)
  monkeypatch.setattr(synthetic, "SIZE", size)
  config = tiny(tmp_path)
  config.model.id_dropout, config.train.steps = 0.2, 2
  pinrec_jax.train(config, tmp_path / "run")
  _, retriever = pinrec_jax.build_index(config, tmp_path / "run")
  rows = retriever.bundle.features.rows[1:]
  hidden = (rows == -1).all(-1)
  assert 0 < hidden.sum() < len(hidden)
  assert np.isfinite(retriever.bundle.vectors).all()
