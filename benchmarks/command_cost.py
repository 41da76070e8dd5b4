"""Modes of pinrec_jax.main in one process, and their CPU seconds.

  python benchmarks/command_cost.py CONFIG WORKDIR OUTPUT MODE...

CONFIG is JSON as in a work folder. OUTPUT has the CPU seconds of the process
("command") and those of its training alone ("training"), over all threads.
"""

import pathlib
import sys
import time
from typing import Any

from pinrec_jax import cli, config_files, files
from pinrec_jax import config as config_lib
from pinrec_jax.training import loop


def main() -> None:
  """Runs the modes and writes their costs."""
  config, workdir, output, *modes = sys.argv[1:]
  text = pathlib.Path(config).read_text("utf-8")
  given = config_files.from_json(config_lib.Config, text, config)
  train, spent = loop.train, 0.0

  def _timed(*args: Any) -> Any:
    nonlocal spent
    began = time.process_time()
    report = train(*args)
    spent += time.process_time() - began
    return report

  loop.train = _timed
  for mode in modes:
    cli.run(mode, given, pathlib.Path(workdir))
  costs = {"training": spent, "command": time.process_time()}
  files.write_json(pathlib.Path(output), costs)


if __name__ == "__main__":
  main()
