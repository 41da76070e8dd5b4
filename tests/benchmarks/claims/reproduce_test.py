"""A suite runs, stops, continues, and reports."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
import report as report_lib
import reproduce
import suite

from pinrec_jax import config as config_lib
from pinrec_jax import workflows
from pinrec_jax.training import errors

UC = {"model.conditioned": False, "decode.budget": ""}
SHORT = {"train.steps": 2, "train.eval_every": 2}
CLICK = {"decode.budget": "click:1"}
ROWS = {
  "conditioning": suite.Row(
    "Conditioning",
    "A request for saves finds saves.",
    {
      "UC": suite.Arm(UC),
      "save": suite.Arm(evaluate={"decode.budget": "save:1"}),
      "click": suite.Arm(evaluate=CLICK),
    },
    ("recall@3", "recall@3/save"),
    (suite.Test("save", "click", "recall@3/save", 0.01),),
  ),
  "stages": suite.Row(
    "Stages",
    "Two stages find more than one.",
    {"one": suite.Arm(), "two": suite.Arm(SHORT, init_from=suite.Arm())},
    ("recall@6",),
    (
      suite.Test("two", "one", "unordered_recall@10"),
      suite.Test("two", "one", "coverage"),
    ),
  ),
  "targets": suite.Row(
    "Targets",
    "Recall of clicks is the same for clicks alone and among all targets.",
    {
      "all": suite.Arm(evaluate=CLICK),
      "clicks": suite.Arm(evaluate={**CLICK, "data.target_outcomes": "click"}),
    },
    ("recall@6", "recall@6/click", "recency"),
    (),
  ),
}


@pytest.fixture
def claims(tmp_path):
  config = config_lib.Config()
  config.data = config_lib.Data(
    name="synthetic",
    prepared_dir=str(tmp_path / "prepared"),
    sequence_length=16,
    synthetic_users=60,
  )
  config.model = config_lib.Model(
    hidden_dim=16, embedding_dim=16, num_layers=1, table_size=64
  )
  config.loss = config_lib.Loss(in_batch_negatives=32, uniform_negatives=8)
  config.train = config_lib.Train(
    steps=4, warmup_steps=1, batch_size=8, eval_every=4
  )
  config.evals = config_lib.Evals(cutoffs=(3, 6), twin=False, sweep=())
  config.index.kind = "exact"
  return suite.Suite(config, dict(ROWS), seeds=2)


def test_models_are_shared_by_arms(claims):
  models = suite.models(claims)
  assert [len(m.evaluations) for m in models.values()] == [1, 4, 1]
  assert list(models)[1] == list(models.values())[2].init_from


def test_a_key_names_the_fields_that_differ_from_the_defaults(claims):
  models = list(suite.models(claims))
  claims.base.data.prepared_dir = "elsewhere"
  assert list(suite.models(claims)) == models
  claims.base.data.sequence_length = 17
  assert not set(suite.models(claims)) & set(models)
  plain = config_lib.Config()
  assert suite.key(plain) == suite.key(config_lib.replace(plain))
  cold = suite.Arm(cold_fraction=0.1)
  assert suite.model_key(plain, cold) != suite.model_key(plain, suite.Arm())


@pytest.mark.slow
def test_a_stopped_suite_continues_and_runs_nothing_twice(
  claims, tmp_path, monkeypatch, capsys
):
  trained = []
  train = workflows.train

  def stopping(config, workdir, dataset):
    if len(trained) == 4:
      raise errors.RunStoppedError("stopped")
    trained.append((config.train.seed, config.train.init_from))
    return train(config, workdir, dataset)

  folder = tmp_path / "claims"
  monkeypatch.setattr(workflows, "train", stopping)
  with pytest.raises(errors.RunStoppedError):
    reproduce.reproduce(claims, folder)
  report = json.loads((folder / "report.json").read_text())
  # With the second seed, UC alone was trained. So each row has one seed.
  assert {row["seeds"] for row in report["rows"].values()} == {1}
  assert "hours left" in capsys.readouterr().out

  cleared = []
  with monkeypatch.context() as patch:
    patch.setattr(jax, "clear_caches", lambda: cleared.append(1))
    patch.setattr(workflows, "train", train)
    report = reproduce.reproduce(claims, folder)
  assert len(cleared) == 2  # Once per model that was left.
  assert [seed for seed, _ in trained] == [0, 0, 0, 1]
  first = pathlib.Path(trained[2][1])
  assert json.loads((first / "config.json").read_text())["train"]["steps"] == 4
  found = report["rows"]
  assert {row["seeds"] for row in found.values()} == {2}
  (verdict,) = found["conditioning"]["verdicts"]
  arms = found["conditioning"]["arms"]
  assert set(arms) == {"UC", "save", "click"}
  targets = found["targets"]["arms"]
  of_clicks = targets["clicks"]["recall@6"]["mean"]
  assert of_clicks == targets["all"]["recall@6/click"]["mean"]
  assert of_clicks != targets["all"]["recall@6"]["mean"]
  assert verdict["paper"] == 0.01
  text = (folder / "report.md").read_text()
  assert f"{arms['save']['recall@3/save']['mean']:.4g} ±" in text
  assert f"**{verdict['label']}**" in text
  assert (folder / "conditioning.png").is_file()

  monkeypatch.setattr(workflows, "train", None)
  assert reproduce.reproduce(claims, folder) == report

  # The stored report alone gives the same page.
  report_lib.show(report, tmp_path / "again.md")
  again = (tmp_path / "again.md").read_text()
  assert again.replace("(again_", "(") == text
  assert (tmp_path / "again_conditioning.png").is_file()
  one, two = (
    found["stages"]["arms"][arm]["unordered_recall@10"]
    for arm in ("one", "two")
  )
  assert len(one["values"]) == 2

  # The gain is that of the recalls, whose targets are the same.
  verdict, of_lists = found["stages"]["verdicts"]
  assert (verdict["over"], of_lists["over"]) == ("users and seeds", "seeds")
  gain = two["mean"] / one["mean"] - 1
  assert abs(verdict["gain"] - gain) < 1e-12
  assert verdict["low"] < gain < verdict["high"]
  _lose_values_of_users(folder)
  again = _counted(monkeypatch, "evaluate")
  # Evaluations of an earlier version are completed without a training.
  assert reproduce.reproduce(claims, folder) == report
  assert len(again) == 6


def _counted(monkeypatch, name):
  """Returns the calls of a workflow from now on."""
  calls, workflow = [], getattr(workflows, name)

  def counting(*arguments):
    calls.append(arguments)
    return workflow(*arguments)

  monkeypatch.setattr(workflows, name, counting)
  return calls


def _lose_values_of_users(folder):
  """Checks the values per user of all evaluations, and deletes one seed's."""
  paths = sorted(folder.glob("runs/*/seed*/*.npz"))
  assert len(paths) == 2 * 6  # Seeds and evaluations.
  for path in paths:
    figures = json.loads(path.with_suffix(".json").read_text())
    with np.load(path) as content:
      names = {key.rpartition(":")[0] for key in content} - {""}
      assert {"recall@6", "recall@3/save", "ndcg@3", "recency"} <= names
      assert len(content["users"]) == figures["test_users"]
      for name in names:
        found, total = (
          content[f"{name}:{n}"].sum() for n in ("found", "total")
        )
        if figures[name] is not None:  # Some groups have no targets.
          assert abs(found / total - figures[name]) < 1e-12
    if path.parent.name == "seed1":
      path.unlink()


@pytest.mark.slow
def test_cold_items_are_trained_without_and_evaluated_with(claims, tmp_path):
  row = suite.Row(
    "Cold items",
    "Cold items are found.",
    {"cold": suite.Arm(cold_fraction=0.3)},
    ("recall@6", "recall@6/cold_items", "recall@6/cold_only"),
    (),
  )
  claims.rows, claims.seeds = {"cold": row}, 1
  report = reproduce.reproduce(claims, tmp_path / "claims")
  arm = report["rows"]["cold"]["arms"]["cold"]
  # Fewer items compete in a list of cold items.
  assert arm["recall@6/cold_only"]["mean"] > arm["recall@6/cold_items"]["mean"]


@pytest.mark.slow
def test_unseen_users_are_left_out_of_training_alone(
  claims, tmp_path, monkeypatch
):
  trained, train = [], workflows.train

  def recorded(config, workdir, dataset):
    trained.append(set(dataset.users))
    return train(config, workdir, dataset)

  monkeypatch.setattr(workflows, "train", recorded)
  metric = "recall@6/unseen_users"
  arms = {"seen": suite.Arm(), "unseen": suite.Arm(unseen_users=True)}
  test = suite.Test("unseen", "seen", metric)
  row = suite.Row("Users", "Unseen users.", arms, (metric,), (test,))
  claims.rows, claims.seeds = {"users": row}, 1
  report = reproduce.reproduce(claims, tmp_path / "claims")
  everyone, rest = trained
  left_out = everyone - rest
  assert rest < everyone
  assert 0.1 < len(left_out) / len(everyone) < 0.4
  (path,) = tmp_path.glob(
    f"claims/runs/{suite.model_key(claims.base, arms['seen'])}/*/*.npz"
  )
  found = np.load(path)
  own = np.isin(found["users"], list(left_out))
  np.testing.assert_array_equal(found[f"{metric}:total"] > 0, own)
  np.testing.assert_array_equal(
    found[f"{metric}:found"], found["recall@6:found"] * own
  )
  recall = found[f"{metric}:found"].sum() / found[f"{metric}:total"].sum()
  arm = report["rows"]["users"]["arms"]["seen"]
  np.testing.assert_allclose(arm[metric]["mean"], recall)


@pytest.mark.parametrize(
  ("row", "message"),
  [
    ({"arms": {"a": suite.Arm({"model.depth": 3})}}, "no field 'depth'"),
    ({"arms": {"a": suite.Arm({"train.steps": -1})}}, "arm 'a': .*steps is -1"),
    ({"arms": {"a": suite.Arm(evaluate={"loss.window": 3})}}, "loss.window, w"),
    ({"tests": (suite.Test("b", "UC", "recall@3"),)}, "tests the arm 'b'"),
  ],
)
def test_an_invalid_row_is_named_before_anything_runs(
  claims, tmp_path, row, message
):
  wrong = {"arms": {"UC": suite.Arm()}, "tests": ()} | row
  claims.rows["wrong"] = dataclasses.replace(ROWS["stages"], **wrong)
  with pytest.raises(ValueError, match=f"row 'wrong'.*{message}"):
    reproduce.reproduce(claims, tmp_path / "claims")
  assert not (tmp_path / "claims").exists()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--rows=steps,stepz"], "row 'stepz' is unknown on mini"),
    (["--config.train.stepz=3"], "stepz"),
    (["budget"], r"unexpected arguments \['budget'\]"),
    (["--seeds=0"], "--seeds is 0"),
  ],
)
# ml_collections imports a configuration file in a way that Python deprecates.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_an_invalid_command_is_an_error(arguments, message, tmp_path):
  with pytest.raises(SystemExit, match=f"(?s)error: .*{message}"):
    reproduce.main([f"--workdir={tmp_path / 'claims'}", *arguments])
  assert not (tmp_path / "claims").exists()
