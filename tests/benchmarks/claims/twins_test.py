"""Gains of runs over their twins."""

import json

import numpy as np
import pytest
import twins

from pinrec_jax import config as config_lib
from pinrec_jax import config_files
from pinrec_jax.evals import evaluate
from pinrec_jax.training import runs
from pinrec_jax.types import UserSums

METRICS = ("recall@10", "recall@100", "ndcg@10")


@pytest.fixture
def workdir(tmp_path, monkeypatch):
  """Two seeds, whose runs find twice as much as their twins."""
  config = config_lib.Config()
  random = np.random.default_rng(0)
  total = random.integers(1, 9, 300)
  hits = {}
  for seed in range(2):
    folder = tmp_path / f"seed{seed}"
    (folder / "uc").mkdir(parents=True)
    text = config_files.to_json(config)
    (folder / runs.CONFIG).write_text(text, "utf-8")
    hits[folder / "uc"] = random.binomial(total, 0.2)
    hits[folder] = random.binomial(total, 0.4)

  def evaluated(config, folder, dataset):
    assert config.model.conditioned == (folder.name != "uc")
    assert config.index.filter_seen == "exposures"
    own = UserSums(hits[folder], total)
    if config.decode.budget == "click:1":
      own = UserSums(hits[folder] // 2, total)
    return evaluate.Measured(
      dict.fromkeys(METRICS, own.ratio()), dict.fromkeys(METRICS, own)
    ), [f"user {n}" for n in range(300)]

  monkeypatch.setattr(twins, "_evaluated", evaluated)
  monkeypatch.setattr(twins.opening, "load", lambda config: (config, None))
  return tmp_path, hits


def test_the_gain_is_that_of_all_seeds_with_an_interval_over_users(
  workdir, capsys
):
  folder, hits = workdir
  output = folder / "gains.json"
  flags = ["--seeds=2", "--filter_seen=exposures", f"--output={output}"]
  twins.main([f"--workdir={folder}", *flags])
  found = json.loads(output.read_text("utf-8"))["gains"]
  pooled = [
    sum(own.sum() for path, own in hits.items() if (path.name == "uc") == twin)
    for twin in (False, True)
  ]
  for metric in METRICS:
    own = found[metric]
    assert own["gain"] == pytest.approx(pooled[0] / pooled[1] - 1)
    assert own["low"] < own["gain"] < own["high"]
    assert own["over"] == "users and seeds"
    assert len(own["run"]) == 2
  assert "gain" in capsys.readouterr().out


def test_a_run_is_compared_with_itself_under_another_budget(workdir):
  folder, hits = workdir
  output = folder / "gains.json"
  flags = ["--seeds=2", "--filter_seen=exposures", f"--output={output}"]
  twins.main([f"--workdir={folder}", "--against=click:1", *flags])
  found = json.loads(output.read_text("utf-8"))
  assert found["against"] == "click:1"
  runs = [own for path, own in hits.items() if path.name != "uc"]
  want = sum(own.sum() for own in runs) / sum((own // 2).sum() for own in runs)
  assert found["gains"]["recall@10"]["gain"] == pytest.approx(want - 1)


def test_a_missing_run_is_named(tmp_path):
  with pytest.raises(SystemExit, match="seed0"):
    twins.main([f"--workdir={tmp_path}", f"--output={tmp_path / 'x.json'}"])
