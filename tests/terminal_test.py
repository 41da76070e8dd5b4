"""Only lines of this package and errors of libraries reach the terminal."""

import os
import subprocess
import sys

SCRIPT = """
import logging as std_logging
from absl import app, logging
from pinrec_jax import terminal

LINE = "logging.info('resuming at step %d', 7)"
OWN = compile(LINE, terminal.__file__, "exec")

def main(_):
  logging.info("a library says something")
  logging.warning("a library warns")
  std_logging.getLogger("orbax").warning("another library warns")
  exec(OWN)
  logging.error("a library fails")

terminal.quiet()
app.run(main)
"""


def test_own_lines_are_plain_and_libraries_are_quiet():
  done = subprocess.run(
    [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
  )
  own, failed = done.stderr.splitlines()
  assert own == "resuming at step 7"
  assert failed.endswith("] a library fails")
  assert failed.startswith("E")
  assert done.stdout == ""


def test_signs_that_the_terminal_lacks_are_shown_by_their_number():
  script = (
    "from pinrec_jax import terminal\nterminal.quiet()\nprint('a\\u4e70')"
  )
  done = subprocess.run(
    [sys.executable, "-c", script],
    capture_output=True,
    env=os.environ | {"PYTHONIOENCODING": "latin-1"},
    check=True,
  )
  assert done.stdout == b"a\\u4e70\n"
