"""The public interface: from a configuration to candidates, in Python."""

import dataclasses
import json
import subprocess
import sys

import jax
import pytest

import pinrec_jax
from pinrec_jax import api, config_json


def _tiny(folder):
  """A made-up world and a model that trains in seconds."""
  config = pinrec_jax.Config()
  config.data.name = "synthetic"
  config.data.prepared_dir = str(folder / "prepared")
  config.data.sequence_length = 16
  config.data.synthetic.users = 60
  config.data.synthetic.items = 40
  config.data.synthetic.topics = 4
  config.data.synthetic.events = 20
  config.model.hidden_dim = config.model.embedding_dim = 16
  config.model.num_layers, config.model.table_size = 1, 64
  config.loss.in_batch_negatives, config.loss.uniform_negatives = 32, 8
  config.train.steps, config.train.warmup_steps, config.train.batch_size = (
    4,
    1,
    8,
  )
  config.train.eval_every = 4
  config.decode.candidates = 5
  config.evals.cutoffs, config.evals.sweep = (3, 6), ("click", "save")
  config.evals.examples = 0
  return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A configuration and the work folder of its trained and indexed run."""
  folder = tmp_path_factory.mktemp("api")
  config, workdir = _tiny(folder), folder / "run"
  pinrec_jax.train(config, workdir)
  pinrec_jax.build_index(config, str(workdir))
  return config, workdir


def test_has_at_most_ten_names_and_each_is_documented():
  assert len(pinrec_jax.__all__) <= 10
  for name in pinrec_jax.__all__:
    assert getattr(pinrec_jax, name).__doc__
  with pytest.raises(AttributeError, match="no attribute 'nothing'"):
    _ = pinrec_jax.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_importing_the_package_loads_no_jax():
  code = "import pinrec_jax, sys; print('jax' in sys.modules)"
  said = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert said.stdout.strip() == "False"


def test_a_run_answers_as_the_command_line_does(run):
  _, workdir = run
  retriever = pinrec_jax.Retriever.load(workdir)
  assert retriever.outcomes == ("click", "save")
  assert "unknown" in retriever.surfaces
  item = retriever.known.items.ids[1].item()
  request = {"user": "u", "events": [{"item": item, "actions": ["click"]}]}
  (one,) = retriever.retrieve([request], budget={"save": 1.0})
  assert [c["outcome"] for c in one["candidates"]] == ["save"] * 5
  assert item not in [c["item"] for c in one["candidates"]]
  lines = [json.dumps(request), " \n", json.dumps(request)]
  two = list(retriever.retrieve(lines, budget="save:1", candidates=3))
  assert [answer["candidates"] for answer in two] == [one["candidates"][:3]] * 2


def test_once_warm_nothing_is_compiled(run, caplog):
  """For batches and histories of any size that was asked for, and no other."""
  _, workdir = run
  retriever = pinrec_jax.Retriever.load(workdir)
  known = retriever.known.items.ids[retriever.serving.catalog].tolist()

  def compiled_for(users, events):
    caplog.clear()
    request = {"user": "u", "events": [{"item": n} for n in known[:events]]}
    with jax.log_compiles():
      found = list(retriever.retrieve([request] * users, candidates=7))
    assert len(found) == users
    return [line for line in caplog.messages if line.startswith("Compiling")]

  retriever.warm_up(4, candidates=7)
  for users in (1, 3, 4):
    assert not any(compiled_for(users, events) for events in (1, 9, 15))
  assert compiled_for(5, 1)


def test_a_bad_request_is_named(run):
  _, workdir = run
  retriever = pinrec_jax.Retriever.load(workdir)
  with pytest.raises(ValueError, match="request 2, user 'v': the history is"):
    list(
      retriever.retrieve(
        [{"user": "u", "events": [{"item": 1}]}, {"user": "v", "events": []}]
      )
    )
  with pytest.raises(ValueError, match="unknown outcome 'like'"):
    list(retriever.retrieve([], budget={"like": 1.0}))
  with pytest.raises(ValueError, match="candidates is 0; ask for 1 or more"):
    list(retriever.retrieve([], candidates=0))
  with pytest.raises(ValueError, match="candidates is -1; ask for 1 or more"):
    retriever.warm_up(candidates=-1)
  with pytest.raises(ValueError, match="most is 0; warm up for 1 request"):
    retriever.warm_up(0)


def test_an_index_older_than_its_checkpoint_is_refused(run, tmp_path):
  config, workdir = run
  told = workdir / "index" / "index.json"
  kept = told.read_text()
  told.write_text(json.dumps(json.loads(kept) | {"step": 3}))
  try:
    with pytest.raises(ValueError, match="is of step 3, the best checkpoint"):
      pinrec_jax.Retriever.load(workdir)
  finally:
    told.write_text(kept)
  with pytest.raises(FileNotFoundError, match="no index"):
    pinrec_jax.Retriever.load(tmp_path, config)


def test_figures_are_returned_and_reported(run):
  config, workdir = run
  found = pinrec_jax.evaluate(config, workdir)
  report = json.loads((workdir / "report.json").read_text())
  assert report["recall@3"] == found["recall@3"]
  assert report["train_seconds"] > 0


def test_a_configuration_comes_back_as_it_was_written(tmp_path):
  config = _tiny(tmp_path)
  config_json.save(config, tmp_path / "config.json")
  again = config_json.load(tmp_path / "config.json")
  assert again == config
  told = dataclasses.asdict(config)
  told["train"]["pace"] = 3
  (tmp_path / "config.json").write_text(json.dumps(told))
  with pytest.raises(ValueError, match=r"config.train.pace is unknown"):
    config_json.load(tmp_path / "config.json")


def test_configurations_are_read_from_here_or_from_the_package(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(api, "CONFIGS", tmp_path)
  (tmp_path / "mine.py").write_text(
    "from pinrec_jax import Config\n"
    "def get_config(name='one'):\n"
    "  config = Config()\n"
    "  config.data.name = name\n"
    "  return config\n"
  )
  assert pinrec_jax.read_config("configs/mine.py").data.name == "one"
  assert pinrec_jax.read_config("mine.py", "two").data.name == "two"
  assert pinrec_jax.read_config("configs/demo.py").train.steps == 400
  (tmp_path / "rows").mkdir()
  (tmp_path / "mine.py").rename(tmp_path / "rows" / "own.py")
  assert pinrec_jax.read_config("configs/rows/own.py").data.name == "one"
  mine = (tmp_path / "rows" / "own.py").read_text()
  (tmp_path / "own.py").write_text(mine.replace("one", "another"))
  assert pinrec_jax.read_config("configs/rows/own.py").data.name == "one"
  assert pinrec_jax.read_config("configs/own.py").data.name == "another"
  (tmp_path / "own.py").unlink()
  (tmp_path / "rows" / "own.py").rename(tmp_path / "mine.py")
  with pytest.raises(FileNotFoundError, match=r"other.py.*choose from mine.py"):
    pinrec_jax.read_config("configs/other.py")
