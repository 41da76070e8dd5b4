"""Command line of pinrec_jax: python -m pinrec_jax.main --config=FILE.

Exits with 0 once all is done, 1 on an error, and 75 if stopped: run it again.
"""

import json
import pathlib
import re
import sys

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from pinrec_jax import api, modes, processes
from pinrec_jax import config as config_lib
from pinrec_jax.claims import reproduce, suite
from pinrec_jax.training import loop

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "What to run; see configs/.", lock_config=True
)
_MODE = flags.DEFINE_enum(
  "mode", "demo", [*modes.MODES, "retrieve", "reproduce"], "What to do."
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
  config: config_lib.Config | suite.Suite = _CONFIG.value
  try:
    with processes.together():
      _run(config, pathlib.Path(_WORKDIR.value).expanduser())
  except (ValueError, OSError, loop.RunDivergedError) as error:
    logging.debug("failed", exc_info=True)
    sys.exit(f"{processes.label()}error: {error}")
  except loop.RunStoppedError as stop:
    print(f"{processes.label()}{stop}", file=sys.stderr)
    sys.exit(75)  # EX_TEMPFAIL of sysexits.h


def _run(config: config_lib.Config | suite.Suite, workdir: pathlib.Path):
  mode = _MODE.value
  if isinstance(config, suite.Suite) != (mode == "reproduce"):
    raise ValueError(
      f"--mode={mode} is given a {type(config).__name__}; --mode=reproduce "
      "goes with configs/claims.py, and with nothing else"
    )
  if isinstance(config, suite.Suite):
    reproduce.reproduce(config, workdir)
    return
  if _BUDGET.value is not None:
    config.decode.budget = _BUDGET.value
  if mode != "retrieve":
    modes.run(mode, config, workdir)
    return
  name = _HISTORIES.value
  with sys.stdin if name == "-" else open(name, encoding="utf-8") as lines:
    retriever = api.Retriever.load(workdir, config)
    for answer in retriever.retrieve(lines):
      print(json.dumps(answer, ensure_ascii=False), flush=True)


def _parse(argv: list[str]) -> list[str]:
  """Reads the flags; a configuration not found here is the package's own."""

  def found(flag: re.Match) -> str:
    return f"{flag[1]}{api.find_config(flag[2])}"

  try:
    argv = [re.sub("^(--?config=)([^:]+)", found, word) for word in argv]
    return app.parse_flags_with_usage(argv)
  except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  logging.set_verbosity(logging.WARNING)
  flags.mark_flag_as_required("config")
  jax.config.config_with_absl()
  app.run(main, flags_parser=_parse)
