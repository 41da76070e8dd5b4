"""Programs that do the same work by turns, so that a busy machine slows all.

Each program runs in its own process and environment, and sleeps while another
has its turn; peers/turns.py is what they speak.
"""

import dataclasses
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

PEERS = pathlib.Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))
import turns  # noqa: E402  of the folder above

PAUSE = 1.0  # seconds until threads that look out for more work have slept
VENVS = pathlib.Path("~/.cache/pinrec_jax/peers").expanduser()


@dataclasses.dataclass
class Program:
  """What takes part: a script of peers/, and the environment it runs in."""

  script: str
  flags: Sequence[str] = ()
  venv: str = ""  # of launch/peers.sh; empty: this interpreter's

  def start(self, venvs: pathlib.Path) -> subprocess.Popen[str]:
    """Starts it; it warms up at once."""
    python = venvs / self.venv / "bin" / "python" if self.venv else None
    if python and not python.exists():
      sys.exit(f"error: {python} is not there; run `bash launch/peers.sh`")
    return subprocess.Popen(
      [str(python or sys.executable), str(PEERS / self.script), *self.flags],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )


def hold(
  programs: Mapping[str, Program], rounds: int, venvs: pathlib.Path = VENVS
) -> dict[str, list[float]]:
  """Returns the seconds of each program's turns, one a round.

  Args:
    programs: by name.
    rounds: turns each of them has.
    venvs: where launch/peers.sh put the environments.

  Raises:
    RuntimeError: naming a program that ended before its turn.
  """
  running: dict[str, subprocess.Popen[str]] = {}
  seconds: dict[str, list[float]] = {name: [] for name in programs}
  try:
    for name, program in programs.items():
      running[name] = program.start(venvs)
      _answer(name, running[name])
    for number in range(rounds):
      for name, process in running.items():
        assert process.stdin is not None  # it is a pipe
        time.sleep(PAUSE)
        process.stdin.write("\n")
        process.stdin.flush()
        seconds[name].append(float(_answer(name, process)))
        if number + 1 < rounds:
          _answer(name, process)
  finally:
    for process in running.values():
      process.kill()
      process.communicate()  # waits, and closes its pipes
  return seconds


def _answer(name: str, process: subprocess.Popen[str]) -> str:
  assert process.stdout is not None  # it is a pipe
  for line in process.stdout:
    mark, _, told = line.strip().partition(" ")
    if mark == turns.MARK:
      return told
  raise RuntimeError(f"{name} ended with status {process.wait()}; see above")


def compared(
  seconds: Mapping[str, Sequence[float]], of: str
) -> dict[str, dict[str, Any]]:
  """Returns each program's median seconds, and how many times `of` is faster.

  The ratio is the median over rounds of its own, with the least and the
  greatest.
  """
  found = {}
  for name, values in seconds.items():
    ratios = [a / b for a, b in zip(values, seconds[of], strict=True)]
    found[name] = {
      "seconds": statistics.median(values),
      "ratio": statistics.median(ratios),
      "least": min(ratios),
      "greatest": max(ratios),
    }
  return found


def table(found: Mapping[str, Mapping[str, Any]], of: str) -> None:
  """Prints what `compared` found."""
  print(f"| | seconds | {of} is faster by |\n|--|--|--|")
  for name, row in found.items():
    print(
      f"| {name} | {row['seconds']:.4g} | {row['ratio']:.2f} "
      f"({row['least']:.2f} to {row['greatest']:.2f}) |"
    )
