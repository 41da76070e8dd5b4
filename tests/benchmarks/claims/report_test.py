"""Stored reports are judged and drawn again, and errors name the file."""

import overview
import pytest
import report as report_lib
import suite


def test_an_unknown_metric_is_named():
  row = suite.Row("Ids", "Ids help.", {}, ("mrr",), ())
  with pytest.raises(ValueError, match="has no metric 'mrr'"):
    report_lib.summary(row, [{"recall@6": 0.5}])


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"rows": 3}'])
def test_a_damaged_report_is_named(tmp_path, text):
  path = tmp_path / "report.json"
  if text is not None:
    path.write_text(text)
  with pytest.raises(SystemExit, match="is not a stored report"):
    report_lib.main([str(path), str(tmp_path / "drawn")])
  assert not (tmp_path / "drawn").exists()


STORED = '{"log": "one", "rows": {}}'


def test_the_table_is_written_between_the_marks_of_a_page(tmp_path):
  stored, page = tmp_path / "stored.json", tmp_path / "page.md"
  stored.write_text(STORED)
  begin, end = report_lib.MARKS
  page.write_text(f"before\n{begin}\nold table\n{end}\nafter\n")
  arguments = [str(stored), str(tmp_path / "drawn"), str(page)]
  report_lib.main(arguments)
  once = page.read_text()
  assert once.startswith(f"before\n{begin}\n\n| row | comparison |")
  assert once.endswith(f"\n\n{end}\nafter\n")
  assert "old table" not in once
  assert overview.LEGEND in once
  report_lib.main(arguments)
  assert page.read_text() == once


@pytest.mark.parametrize(
  ("text", "message"),
  [
    (None, "name an existing page"),
    ("no marks", "does not have the line"),
    (report_lib.MARKS[0], "does not have the line"),
    ("\n".join(reversed(report_lib.MARKS)), "does not have the line"),
  ],
)
def test_a_page_without_marks_is_named_before_any_drawing(
  tmp_path, text, message
):
  stored, page = tmp_path / "stored.json", tmp_path / "page.md"
  stored.write_text(STORED)
  if text is not None:
    page.write_text(text)
  with pytest.raises(SystemExit, match=rf"page\.md.* {message}"):
    report_lib.main([str(stored), str(tmp_path / "drawn"), str(page)])
  assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize(
  ("over", "expected"),
  [
    ("users and seeds", "+8.1 %, 95 % interval -0.4 to +17.0 over users and"),
    ("seeds", "+8.1 ± 1.2 % (paper: increase)"),
    ("", "+8.1 ± 1.2 % (paper: increase)"),
  ],
)
def test_a_page_says_what_an_interval_is_over(over, expected):
  test = {
    "metric": "recall@10", "arm": "with", "baseline": "without", "paper": None,
    "decrease": False, "gain": 0.081, "std": 0.012, "low": -0.004,
    "high": 0.17, "label": "reproduced", "reason": "",
  }  # fmt: skip
  if over:  # Earlier reports do not say.
    test["over"] = over
  assert expected in report_lib._sentence(test)
