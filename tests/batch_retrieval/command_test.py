"""Batch retrieval as a user starts it."""

import pathlib
import subprocess
import sys

import pyarrow.parquet as pq

import pinrec_jax

ROOT = pathlib.Path(pinrec_jax.__file__).parent.parent
PROGRAM = (
  "from absl import app; from pinrec_jax import main; app.run(main.main)"
)
WITHOUT_BEAM = "import sys; sys.modules['apache_beam'] = None; "
CHECKED = (
  "import atexit, sys; "
  "atexit.register(lambda: print('apache_beam' in sys.modules)); "
)


def run(script, *flags):
  """Runs the program, after a script if one is given."""
  program = ["-c", script + PROGRAM] if script else ["-m", "pinrec_jax.main"]
  return subprocess.run(
    [sys.executable, *program, "--mode=retrieve", *flags],
    capture_output=True,
    text=True,
    timeout=300,
    cwd=ROOT,
  )


def test_a_batch_from_the_command_line(work, tmp_path):
  asked = tmp_path / "asked.jsonl"
  asked.write_text('{"user": "u05"}\n{\n')
  flags = [f"--workdir={work}", f"--output={tmp_path / 'lists'}"]
  flags += [f"--histories={asked}", "--budget=like:1"]
  done = run("", *flags, "--beam_options=--direct_num_workers=1")
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith("1 lists and 1 bad rows, 2 of them new in")
  assert done.stderr == ""
  (row,) = pq.read_table(tmp_path / "lists" / "lists").to_pylist()
  assert row["user"] == "u05"
  assert {one["outcome"] for one in row["candidates"]} == {"like"}
  assert run("", *flags, "--strict").returncode == 1


def test_beam_is_needed_for_an_output_only(work, tmp_path):
  asked = tmp_path / "asked.jsonl"
  asked.write_text('{"user": "u05"}\n')
  flags = [f"--workdir={work}", f"--histories={asked}"]
  done = run(CHECKED, *flags)
  assert done.stdout.endswith("\nFalse\n"), done.stderr
  done = run(WITHOUT_BEAM, *flags, f"--output={tmp_path / 'lists'}")
  assert done.returncode == 1
  assert done.stderr.startswith("error: --output needs the package apache_beam")
  assert "EXTRAS=beam" in done.stderr
  done = run("", *flags, "--beam_options=--direct_num_workers=2")
  assert done.returncode == 1
  assert "error: --beam_options needs --output" in done.stderr
