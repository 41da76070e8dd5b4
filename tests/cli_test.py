"""The modes write report.json whole, and print each report."""

import json

import pytest

from pinrec_jax import cli, files, main, reports, workflows
from pinrec_jax import config as config_lib


class Report:
  """A report with given figures."""

  def __init__(self, **figures):
    self._figures = figures

  def figures(self):
    return self._figures


@pytest.fixture
def path(tmp_path):
  return tmp_path / "run" / "report.json"


def written(path, mode, **figures):
  cli.write_report(path, mode, Report(**figures))
  return json.loads(path.read_text(), parse_constant=pytest.fail)


def test_every_mode_has_its_section(path):
  written(path, "prepare", users=3)
  written(path, "train", loss=1)
  written(path, "index", items=2)
  assert written(path, "evaluate", recall=0.5) == {
    "prepare": {"users": 3},
    "train": {"loss": 1},
    "index": {"items": 2},
    "evaluate": {"recall": 0.5},
  }
  assert written(path, "evaluate", ndcg=0.25)["evaluate"] == {"ndcg": 0.25}


def test_training_again_makes_later_sections_obsolete(path):
  for mode in ("prepare", "train", "index", "evaluate", "doctor"):
    written(path, mode, figure=1)
  assert set(written(path, "train", loss=2)) == {"prepare", "train", "doctor"}
  assert set(written(path, "demo", loss=3)) == {"prepare", "demo", "doctor"}
  assert set(written(path, "train", loss=2)) == {"prepare", "train", "doctor"}


def test_not_a_number_becomes_null(path):
  nan, inf = float("nan"), float("inf")
  found = written(path, "evaluate", recall=nan, ratios=[1.0, -inf], name="é")
  assert found["evaluate"] == {
    "recall": None, "ratios": [1, None], "name": "é",
  }  # fmt: skip


@pytest.mark.parametrize(
  "content",
  [b"", b"{", b"[]", b"\xff\xfe", b'{"train": {"loss": 1}'],
)
def test_a_damaged_report_is_replaced(path, content, capsys):
  path.parent.mkdir()
  path.write_bytes(content)
  assert written(path, "train", loss=1) == {"train": {"loss": 1}}
  assert "is damaged: " in capsys.readouterr().err


def test_figures_of_an_older_version_are_dropped(path):
  files.write_json(path, {"recall@10": 0.5, "train": {"loss": 2}})
  assert written(path, "index", items=1) == {
    "train": {"loss": 2}, "index": {"items": 1},
  }  # fmt: skip


def test_a_report_that_cannot_be_written_leaves_the_old_one(path, monkeypatch):
  written(path, "train", loss=1)
  before = path.read_text()

  def fail(*_):
    raise OSError("the disk is full")

  monkeypatch.setattr(files.os, "fsync", fail)
  with pytest.raises(OSError, match="full"):
    cli.write_report(path, "index", Report(items=1))
  assert path.read_text() == before
  assert [p.name for p in path.parent.iterdir()] == ["report.json"]


def test_the_modes_of_the_command_line_are_those_of_main():
  assert {*cli.MODES, "retrieve", "serve"} == {*main.MODES}
  assert {*cli.OBSOLETE} <= {*cli.MODES}
  assert {m for own in cli.OBSOLETE.values() for m in own} <= {*cli.MODES}


def test_a_mode_prints_and_writes_its_report(tmp_path, monkeypatch, capsys):
  report = reports.IndexReport("abc", "exact", 5, 0.25, None)
  monkeypatch.setattr(
    workflows, "build_index", lambda config, workdir: (report, None)
  )
  cli.run("index", config_lib.Config(), tmp_path)
  assert capsys.readouterr().out.splitlines() == [
    f"bundle: {tmp_path / 'bundles' / 'abc'}",
    f"report: {tmp_path / 'report.json'}",
  ]
  assert json.loads((tmp_path / "report.json").read_text()) == {
    "index": report.figures()
  }
