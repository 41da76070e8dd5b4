"""Programs that do the same work in interleaved rounds.

Each program runs in its own process and environment, and sleeps while another
program runs. So a busy machine slows all programs alike. peers/turns.py is the
programs' side of the protocol.
"""

import dataclasses
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from peers import turns

from pinrec_jax import markdown

FOLDER = pathlib.Path(__file__).parent
PAUSE = 1.0  # Seconds until idle threads of the last program sleep.
VENVS = pathlib.Path("~/.cache/pinrec_jax/peers").expanduser()


@dataclasses.dataclass
class Program:
  """A program that takes part.

  Attributes:
    module: name of a module in peers/.
    flags: its arguments.
    venv: its environment, which launch/peers.sh makes; empty for this one.
  """

  module: str
  flags: Sequence[str] = ()
  venv: str = ""

  def start(self, venvs: pathlib.Path) -> subprocess.Popen[str]:
    """Starts the program, which warms up at once."""
    python = venvs / self.venv / "bin" / "python" if self.venv else None
    if python and not python.exists():
      sys.exit(f"error: {python} does not exist; run `bash launch/peers.sh`")
    command = [str(python or sys.executable), "-m", f"peers.{self.module}"]
    return subprocess.Popen(
      [*command, *self.flags],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      encoding="utf-8",
      cwd=FOLDER,
    )


def run(
  programs: Mapping[str, Program], rounds: int, venvs: pathlib.Path = VENVS
) -> dict[str, list[float]]:
  """Returns the seconds of each program, one measurement per round.

  Args:
    programs: by name.
    rounds: number of measurements.
    venvs: folder of the environments that launch/peers.sh makes.

  Raises:
    RuntimeError: naming a program that ended too early.
  """
  running: dict[str, subprocess.Popen[str]] = {}
  seconds: dict[str, list[float]] = {name: [] for name in programs}
  try:
    for name, program in programs.items():
      running[name] = program.start(venvs)
      _answer(name, running[name])
    for number in range(rounds):
      for name, process in running.items():
        assert process.stdin is not None  # It is a pipe.
        time.sleep(PAUSE)
        process.stdin.write("\n")
        process.stdin.flush()
        seconds[name].append(float(_answer(name, process)))
        if number + 1 < rounds:
          _answer(name, process)
  finally:
    for process in running.values():
      process.kill()
      process.communicate()  # Waits, and closes the pipes.
  return seconds


def _answer(name: str, process: subprocess.Popen[str]) -> str:
  """Returns the next line that is meant for this side; others are output."""
  assert process.stdout is not None  # It is a pipe.
  for line in process.stdout:
    mark, _, answer = line.strip().partition(" ")
    if mark == turns.MARK:
      return answer
  raise RuntimeError(f"{name} ended with status {process.wait()}; see above")


def table(found: Mapping[str, Mapping[str, Any]], baseline: str) -> str:
  """Returns the result of `timing.compared` as a Markdown table."""
  rows = [
    [
      name,
      f"{row['seconds']:.4g}",
      f"{row['ratio']:.2f} ({row['min']:.2f} to {row['max']:.2f})",
    ]
    for name, row in found.items()
  ]
  return markdown.table(["", "seconds", f"{baseline} is faster by"], rows)
