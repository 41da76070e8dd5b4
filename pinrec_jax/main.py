"""Command line of pinrec_jax: python -m pinrec_jax.main --config=FILE.

Exits with 0 once all is done, 1 on an error, and 75 if stopped: run it again.
"""

import json
import pathlib
import sys

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from pinrec_jax import config as config_lib
from pinrec_jax import modes, rules, sharding
from pinrec_jax.train import loop

MODES = {
  "demo": modes.demo,
  "prepare": modes.prepare,
  "train": modes.train,
  "evaluate": modes.evaluate,
  "index": modes.index,
}

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "What to run; see configs/.", lock_config=True
)
_MODE = flags.DEFINE_enum(
  "mode", "demo", [*MODES, "retrieve"], "Which part of the program to run."
)
_WORKDIR = flags.DEFINE_string(
  "workdir", "runs/demo", "Folder of checkpoints, logs, plots, report.json."
)
_HISTORIES = flags.DEFINE_string(
  "histories", "-", "retrieve: file of histories, a JSON object a line."
)
_BUDGET = flags.DEFINE_string(
  "budget", None, "Shares of outcomes, such as is_click:0.7,is_like:0.3."
)


def main(argv: list[str]) -> None:
  """Parses, checks, dispatches."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments {argv[1:]}; use --name=value")
  config: config_lib.Config = _CONFIG.value
  if _BUDGET.value is not None:
    config.decode.budget = _BUDGET.value
  workdir = pathlib.Path(_WORKDIR.value).expanduser()
  try:
    rules.validate(config)
    sharding.join_processes()
    if _MODE.value == "retrieve":
      _retrieve(config, workdir)
    else:
      _run(config, workdir)
  except (ValueError, OSError, loop.RunDivergedError) as error:
    logging.debug("failed", exc_info=True)
    sys.exit(f"error: {error}")
  except loop.RunStoppedError as stop:
    print(stop, file=sys.stderr)
    sys.exit(75)  # EX_TEMPFAIL of sysexits.h


def _run(config: config_lib.Config, workdir: pathlib.Path) -> None:
  report = MODES[_MODE.value](config, workdir)
  if jax.process_index() == 0:
    path = workdir / "report.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | report, indent=1) + "\n")
    print(f"report: {path}")


def _retrieve(config: config_lib.Config, workdir: pathlib.Path) -> None:
  name = _HISTORIES.value
  with sys.stdin if name == "-" else open(name, encoding="utf-8") as lines:
    for line in modes.retrieve(config, workdir, lines):
      print(line, flush=True)


def _parse(argv: list[str]) -> list[str]:
  """Reads the flags; a field the configuration lacks is a plain error."""
  try:
    return app.parse_flags_with_usage(argv)
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  logging.set_verbosity(logging.WARNING)
  flags.mark_flag_as_required("config")
  jax.config.config_with_absl()
  app.run(main, flags_parser=_parse)
