"""Lines of requests are answered as they arrive, each with its own answer."""

import gzip
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

import pinrec_jax
from pinrec_jax import config as config_lib
from pinrec_jax.inference import engine, stream

LINES = [
  '{"user": "a", "events": [{"item": 100}]}',
  "",
  '{"user": "b", "events": [{"item": "é"}]}',
  "{",
  '{"user": "c", "steps": 0}',
  '{"user": "\\ud800"}',
  '{"user": "d", "budget": {"save": 1}}',
]
USERS = ["a", "b", None, "c", None, "d"]


@pytest.fixture
def answered(saved, capsysbinary):
  """Returns the function from the content of a file to its answers."""
  folder = saved()

  def of_content(content, config=None, budget=None, strict=False):
    path = folder.parent / "requests"
    path.write_bytes(content)
    done = stream.retrieve(folder, config, str(path), budget, strict=strict)
    lines = capsysbinary.readouterr().out.splitlines()
    return done, [json.loads(line) for line in lines]

  return of_content


@pytest.mark.parametrize(
  "form",
  ["\n", "\r\n", "bom", "gzip", "no end"],
)
def test_every_line_gets_an_answer(answered, form):
  text = ("\r\n" if form == "\r\n" else "\n").join(LINES)
  content = (text if form == "no end" else f"{text}\n").encode()
  if form == "bom":
    content = b"\xef\xbb\xbf" + content
  elif form == "gzip":
    content = gzip.compress(content)
  done, found = answered(content)
  assert done
  assert [answer["user"] for answer in found] == USERS
  errors = [answer.get("error", "") for answer in found]
  assert errors[2].startswith("line 4: it is not valid JSON")
  assert errors[3].startswith("line 5, user 'c': steps is 0")
  assert errors[4].startswith("line 6: user is not UTF-8 text")
  assert [bool(error) for error in errors] == [
    False, False, True, True, True, False,
  ]  # fmt: skip
  assert found[1]["unknown_items"] == ["é"]
  assert [c["outcome"] for c in found[5]["candidates"]] == ["save"] * 5


def test_a_bad_line_fails_the_program_only_if_strict(answered):
  bad, good = "\n".join(LINES).encode(), LINES[0].encode()
  assert answered(bad)[0]
  done, found = answered(bad, strict=True)
  assert not done
  assert len(found) == 6
  assert answered(good, strict=True)[0]
  assert answered(b"", strict=True) == (True, [])


def test_invalid_utf8_costs_its_line_alone(answered):
  _, found = answered(b'{"user": "\xff"}\n{"user": "a"}\n\xff\xfe\n')
  assert ["error" in answer for answer in found] == [True, False, True]


def test_lines_are_answered_in_batches(answered, monkeypatch):
  sizes = []
  monkeypatch.setattr(engine, "MAX_BATCH", 4)
  answer = engine.Retriever.answer

  def counted(self, parsed):
    sizes.append(len(parsed))
    return answer(self, parsed)

  monkeypatch.setattr(engine.Retriever, "answer", counted)
  lines = "\n".join(json.dumps({"user": n}) for n in range(10))
  _, found = answered(lines.encode())
  assert [answer["user"] for answer in found] == [str(n) for n in range(10)]
  assert sizes == [4, 4, 2]


def test_a_damaged_file_is_an_error_after_what_could_be_read(answered):
  line = (LINES[0] + "\n").encode()
  packed = gzip.compress(os.urandom(100_000).hex().encode() + b"\n" + line)
  for damaged in (
    packed[: len(packed) // 2],
    packed[:100] + b"\0" * 100 + packed[200:],
  ):
    with pytest.raises(OSError, match="requests cannot be read: "):
      answered(damaged)


def test_the_configuration_and_the_budget_are_used(answered):
  config = config_lib.Config()
  config.decode.candidates, config.index.kind = 3, "exact"
  _, found = answered(LINES[0].encode(), config, "like:1")
  assert [c["outcome"] for c in found[0]["candidates"]] == ["like"] * 3
  with pytest.raises(ValueError, match="unknown outcome 'hug'"):
    answered(LINES[0].encode(), budget="hug:1")
  config = config_lib.Config()
  config.decode.candidates = 0
  with pytest.raises(ValueError, match=r"decode.candidates is 0; use 1"):
    answered(LINES[0].encode(), config)


def test_a_missing_file_is_named(saved):
  with pytest.raises(FileNotFoundError, match=r"absent\.jsonl"):
    stream.retrieve(saved(), None, "absent.jsonl", None, strict=False)


def test_a_pipe_that_stays_open_gets_its_answers_at_once(saved):
  """As from a program that waits for each answer before it asks again."""
  root = pathlib.Path(pinrec_jax.__file__).parent.parent
  with subprocess.Popen(
    [
      sys.executable, "-m", "pinrec_jax.main", "--mode=retrieve", "--strict",
      f"--workdir={saved()}",
    ],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    cwd=root,
  ) as process:  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    for line in (LINES[0], "{", LINES[0], LINES[6]):
      process.stdin.write(line.encode() + b"\n")
      process.stdin.flush()
      answer = json.loads(process.stdout.readline())
      assert ("error" in answer) == (line == "{")
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.stderr.read() == b""
    assert process.wait(60) == 1  # It is strict, and a line was bad.


def test_what_fails_in_the_reading_thread_ends_the_program(monkeypatch):
  class Broken(io.BytesIO):
    def peek(self, size):
      raise RuntimeError("a defect")

    def fileno(self):
      return 0

  class Stdin:
    buffer = Broken()

  monkeypatch.setattr(sys, "stdin", Stdin)
  with pytest.raises(OSError, match="- cannot be read: a defect"):
    next(stream._batches("-", 4))
