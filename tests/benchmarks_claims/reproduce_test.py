"""A suite runs, is stopped, goes on, and tells what it found."""

import dataclasses
import json
import pathlib

import jax
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.claims import overview, reproduce, suite
from pinrec_jax.claims import report as report_lib
from pinrec_jax.training import loop

UC = {"model.conditioned": False, "decode.budget": ""}
SHORT = {"train.steps": 2, "train.eval_every": 2}
ROWS = {
  "conditioning": suite.Row(
    "Asked for saves, it finds saves.",
    {
      "UC": suite.Arm(UC),
      "save": suite.Arm(ask={"decode.budget": "save:1"}),
      "click": suite.Arm(ask={"decode.budget": "click:1"}),
    },
    ("recall@3", "recall@3/save"),
    (suite.Test("save", "click", "recall@3/save", 0.01),),
  ),
  "stages": suite.Row(
    "Two stages find more than one.",
    {"one": suite.Arm(), "two": suite.Arm(SHORT, after=suite.Arm())},
    ("recall@6",),
    (suite.Test("two", "one", "recall@6"),),
  ),
  "aims": suite.Row(
    "Of clicks alone it finds what it finds of clicks among all.",
    {
      "all": suite.Arm(ask={"decode.budget": "click:1"}),
      "clicks": suite.Arm(
        ask={"decode.budget": "click:1", "data.target_outcomes": "click"}
      ),
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
    synthetic=config_lib.Synthetic(users=60, items=40, topics=4, events=20),
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


def test_models_are_trained_once_and_asked_for_all(claims):
  known = suite.trainings(claims)
  assert [len(training.asked) for training in known.values()] == [1, 4, 1]
  assert list(known)[1] == list(known.values())[2].after
  claims.base.data.prepared_dir = "elsewhere"
  assert list(suite.trainings(claims)) == list(known)
  claims.base.data.sequence_length = 17
  assert not set(suite.trainings(claims)) & set(known)


def test_a_stopped_suite_goes_on_and_runs_nothing_twice(
  claims, tmp_path, monkeypatch, capsys
):
  trained = []
  train = loop.train

  def stopping(config, dataset, workdir):
    if len(trained) == 4:
      raise loop.RunStoppedError("stopped")
    trained.append((config.train.seed, config.train.init_from))
    return train(config, dataset, workdir)

  monkeypatch.setattr(loop, "train", stopping)
  with pytest.raises(loop.RunStoppedError):
    reproduce.reproduce(claims, tmp_path / "claims")
  report = json.loads((tmp_path / "claims" / "report.json").read_text())
  # Of the second seed UC alone was trained, so the rows have one each.
  assert {row["seeds"] for row in report["rows"].values()} == {1}
  assert "hours left" in capsys.readouterr().out

  cleared = []
  with monkeypatch.context() as patch:
    patch.setattr(jax, "clear_caches", lambda: cleared.append(1))
    patch.setattr(loop, "train", train)
    report = reproduce.reproduce(claims, tmp_path / "claims")
  assert len(cleared) == 2  # for each model that was left, and no other
  assert [seed for seed, _ in trained] == [0, 0, 0, 1]
  first = pathlib.Path(trained[2][1])
  assert json.loads((first / "config.json").read_text())["train"]["steps"] == 4
  rows = report["rows"]
  assert {row["seeds"] for row in rows.values()} == {2}
  (verdict,) = rows["conditioning"]["verdicts"]
  arms = rows["conditioning"]["arms"]
  assert set(arms) == {"UC", "save", "click"}
  aims = rows["aims"]["arms"]
  of_clicks = aims["clicks"]["recall@6"]["mean"]
  assert of_clicks == aims["all"]["recall@6/click"]["mean"]
  assert of_clicks != aims["all"]["recall@6"]["mean"]
  assert verdict["paper"] == 0.01
  assert verdict["label"]
  text = (tmp_path / "claims" / "report.md").read_text()
  assert f"{arms['save']['recall@3/save']['mean']:.4g} ±" in text
  assert f"**{verdict['label']}**" in text
  assert (tmp_path / "claims" / "conditioning.png").is_file()

  monkeypatch.setattr(loop, "train", None)
  assert reproduce.reproduce(claims, tmp_path / "claims") == report

  # From what is stored alone.
  stored = json.loads((tmp_path / "claims" / "report.json").read_text())
  report_lib.show(stored, tmp_path / "anew.md")
  anew = (tmp_path / "anew.md").read_text()
  assert anew.replace("(anew_", "(") == text
  assert (tmp_path / "anew_conditioning.png").is_file()
  values = stored["rows"]["stages"]["arms"]["one"]["recall@6"]["seeds"]
  assert len(values) == 2


@pytest.mark.parametrize(
  ("row", "message"),
  [
    ({"arms": {"a": suite.Arm({"model.depth": 3})}}, "model.depth, which no"),
    ({"arms": {"a": suite.Arm({"train.steps": 0})}}, "arm 'a': .*steps is 0"),
    ({"arms": {"a": suite.Arm(ask={"loss.chunk": 3})}}, "loss.chunk, which tr"),
    ({"tests": (suite.Test("b", "UC", "recall@3"),)}, "tests the arm 'b'"),
  ],
)
def test_a_row_that_cannot_be_is_said_before_anything_is_run(
  claims, tmp_path, row, message
):
  wrong = {"arms": {"UC": suite.Arm()}, "tests": ()} | row
  claims.rows["wrong"] = dataclasses.replace(ROWS["stages"], **wrong)
  with pytest.raises(ValueError, match=f"row 'wrong'.*{message}"):
    reproduce.reproduce(claims, tmp_path / "claims")
  assert not (tmp_path / "claims").exists()


def test_a_metric_that_is_not_reported_is_named(claims, tmp_path):
  claims.rows = {
    "stages": dataclasses.replace(ROWS["stages"], metrics=("mrr",))
  }
  claims.seeds = 1
  with pytest.raises(ValueError, match="no report has 'mrr'"):
    reproduce.reproduce(claims, tmp_path / "claims")


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"rows": 3}'])
def test_a_report_that_is_none_is_named(tmp_path, text):
  path = tmp_path / "report.json"
  if text is not None:
    path.write_text(text)
  with pytest.raises(SystemExit, match="is no stored report"):
    report_lib.main([str(path), str(tmp_path / "drawn")])
  assert not (tmp_path / "drawn").exists()


TOLD = '{"log": "made-up", "rows": {}}'


def test_the_table_is_drawn_between_the_marks_of_a_page(tmp_path):
  stored, page = tmp_path / "stored.json", tmp_path / "page.md"
  stored.write_text(TOLD)
  begin, end = report_lib.MARKS
  page.write_text(f"before\n{begin}\nof old\n{end}\nafter\n")
  drawn = [str(stored), str(tmp_path / "drawn"), str(page)]
  report_lib.main(drawn)
  once = page.read_text()
  assert once.startswith(f"before\n{begin}\n\n| row | what |")
  assert once.endswith(f"\n\n{end}\nafter\n")
  assert "of old" not in once
  assert overview.LEGEND in once
  report_lib.main(drawn)
  assert page.read_text() == once


@pytest.mark.parametrize(
  ("text", "remedy"),
  [
    (None, "name a page there is"),
    ("no marks", "has no lines"),
    (report_lib.MARKS[0], "has no lines"),
    ("\n".join(reversed(report_lib.MARKS)), "has no lines"),
  ],
)
def test_a_page_without_marks_is_named_before_any_drawing(
  tmp_path, text, remedy
):
  stored, page = tmp_path / "stored.json", tmp_path / "page.md"
  stored.write_text(TOLD)
  if text is not None:
    page.write_text(text)
  with pytest.raises(SystemExit, match=f"page.md.* {remedy}"):
    report_lib.main([str(stored), str(tmp_path / "drawn"), str(page)])
  assert not (tmp_path / "drawn").exists()
