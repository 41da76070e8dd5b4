"""Metrics survive a process that was killed while it wrote a line."""

import json

import pytest

from pinrec_jax.training import logs

WHOLE = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}]
TEXT = "".join(json.dumps(row) + "\n" for row in WHOLE)


@pytest.mark.parametrize(
  "half", ['{"step": 3, "lo', "{", "[]", "null", "7", "\x00\x00", '{"loss": 1}']
)
def test_a_damaged_line_is_named_and_left_out(tmp_path, capsys, half):
  path = tmp_path / logs.FILE
  path.write_text(TEXT + half, encoding="utf-8")
  assert logs.read(tmp_path) == WHOLE
  assert f"{path}:3 is damaged: " in capsys.readouterr().err
  with logs.Logs(tmp_path, steps=4, start=2) as log:
    log.write(3, {"loss": 1.25})
  assert logs.read(tmp_path) == [*WHOLE, {"step": 3, "loss": 1.25}]


@pytest.mark.parametrize("text", ["", TEXT])
def test_whole_lines_are_not_changed(tmp_path, capsys, text):
  (tmp_path / logs.FILE).write_text(text, encoding="utf-8")
  with logs.Logs(tmp_path, steps=4, start=2) as log:
    log.write(3, {"loss": 1.25})
  expected = text + json.dumps({"step": 3, "loss": 1.25}) + "\n"
  assert (tmp_path / logs.FILE).read_text(encoding="utf-8") == expected
  assert len(logs.read(tmp_path)) == expected.count("\n")
  assert not capsys.readouterr().err.count("damaged")
