"""The notebooks are stripped, open with an install cell, and run."""

import pathlib
import re

import nbclient
import nbformat
import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "colabs"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def _read(path):
  return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_begins_with_a_badge_and_an_install_cell(path):
  cells = _read(path).cells
  assert "colab-badge.svg" in cells[0].source
  # Of a clone: the package is in no registry.
  assert 'REPOSITORY = ".."' in cells[1].source
  assert "%pip install -q $REPOSITORY" in cells[1].source
  texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
  assert re.search(r"minutes\s+on\s+two\s+CPU\s+cores", texts[0])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_holds_no_outputs(path):
  for cell in _read(path).cells:
    assert not cell.get("outputs")
    assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
  monkeypatch.delenv("XLA_FLAGS")  # One device, as in Colab.
  notebook = _read(path)
  client = nbclient.NotebookClient(
    notebook, timeout=1200, resources={"metadata": {"path": str(tmp_path)}}
  )
  client.execute()
  printed = [
    output.get("text", "")
    for cell in notebook.cells
    if cell.cell_type == "code"
    for output in cell.outputs
  ]
  pictures = [
    output
    for cell in notebook.cells
    if cell.cell_type == "code"
    for output in cell.outputs
    if "image/png" in output.get("data", {})
  ]
  assert len(pictures) >= 2
  if path.stem == "custom_log":
    figures = dict(re.findall(r"(\w+@\d+) +([\d.]+)", "".join(printed)))
    assert float(figures["recall@1"]) > 0.4
    assert float(figures["popularity_recall@1"]) < 0.1
    assert "unknown: ['article-999']" in "".join(printed)
