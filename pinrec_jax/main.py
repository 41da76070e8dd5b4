"""Command line of pinrec_jax: python -m pinrec_jax.main --config=FILE.

Exit status: 0 if all is done, 1 on an error, and 75 if the run was stopped and
the same command continues it.
"""

import re
import sys
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from pinrec_jax import terminal

MODES = (
  "demo", "prepare", "train", "index", "evaluate", "retrieve", "serve",
  "export", "update", "doctor",
)  # fmt: skip
_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "Configuration to run; see configs/.", lock_config=True
)
_MODE = flags.DEFINE_enum("mode", "demo", MODES, "What to do.")
_WORKDIR = flags.DEFINE_string(
  "workdir",
  "runs/demo",
  "Folder of checkpoints, logs, plots, report.json; "
  "or its address, such as s3://bucket/run.",
)
_HISTORIES = flags.DEFINE_string(
  "histories",
  "-",
  "retrieve: file of requests, one JSON object per line. "
  "With --output also a folder or a pattern, or log: all users of the log.",
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "retrieve: folder or address of lists, written as Parquet."
)
_BEAM = flags.DEFINE_string(
  "beam_options", "", "retrieve: options of Apache Beam, with --output."
)
_BUDGET = flags.DEFINE_string(
  "budget", None, "Shares of outcomes, such as is_click:0.7,is_like:0.3."
)
_STRICT = flags.DEFINE_bool(
  "strict", False, "retrieve: exit with status 1 if a request was invalid."
)


def main(argv: list[str]) -> None:
  """Dispatches a mode."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments {argv[1:]}; use --name=value")
  if _MODE.value == "serve":
    from pinrec_jax.serve import memory

    memory.keep_small()  # JAX starts threads.
  # Imported here, so that --help needs neither JAX nor TFDS.
  from pinrec_jax import processes
  from pinrec_jax.training import errors

  try:
    with processes.together():
      _run(_MODE.value, _WORKDIR.value)
  except (ValueError, OSError, errors.RunDivergedError) as error:
    logging.debug("failed", exc_info=True)
    processes.fail(error)
  except errors.RunStoppedError as stop:
    print(f"{processes.label()}{stop}", file=sys.stderr)
    sys.exit(75)  # EX_TEMPFAIL of sysexits.h


def _run(mode: str, workdir: str) -> None:
  config = _CONFIG.value
  if config is None and mode not in ("doctor", "retrieve"):
    raise ValueError(f"--mode={mode} needs a --config; see configs/")
  if mode in ("retrieve", "serve"):
    from pinrec_jax import processes

    if processes.is_spare():
      return
  if mode == "retrieve":
    if not _retrieve(config, workdir):
      sys.exit(1)
    return
  if _BUDGET.value is not None and config is not None:
    config.decode.budget = _BUDGET.value
  if mode == "serve":
    _serve(config, workdir)
    return
  from pinrec_jax import cli

  cli.run(mode, config, workdir)


def _retrieve(config: Any, workdir: str) -> bool:
  """Answers requests; returns whether the program succeeded.

  Raises:
    ValueError: if packages are missing.
  """
  if _OUTPUT.value is None:
    if _BEAM.value:
      raise ValueError("--beam_options needs --output, the folder of the lists")
    from pinrec_jax.inference import stream

    return stream.retrieve(
      workdir, config, _HISTORIES.value, _BUDGET.value, strict=_STRICT.value
    )
  try:
    from pinrec_jax.batch_retrieval import job
  except ModuleNotFoundError as error:
    raise ValueError(
      f"--output needs the package {error.name}; install the extra from the "
      "folder of the repository, as: pip install '.[beam]' (EXTRAS=beam for "
      "the launch scripts)"
    ) from error
  report = job.retrieve(
    workdir, config, _HISTORIES.value, _BUDGET.value, _OUTPUT.value,
    options=_BEAM.value,
  )  # fmt: skip
  print(report)
  return not (_STRICT.value and report.bad)


def _serve(config: Any, workdir: str) -> None:
  """Runs the server.

  Raises:
    ValueError: if its packages are missing.
  """
  try:
    from pinrec_jax.buckets import work_folder
    from pinrec_jax.serve import server
  except ModuleNotFoundError as error:
    raise ValueError(
      f"--mode=serve needs the package {error.name}; install the extra from "
      "the folder of the repository, as: pip install '.[serve]'"
    ) from error
  server.serve(config, work_folder.readable(workdir))


def _parse(argv: list[str]) -> list[str]:
  """Reads the flags. A configuration may be the package's own by its name."""
  from pinrec_jax import config_files

  def _found(flag: re.Match) -> str:
    return f"{flag[1]}{config_files.find_config(flag[2])}"

  try:
    argv = [re.sub("^(--?config=)([^:]+)", _found, word) for word in argv]
    return app.parse_flags_with_usage(argv)
  except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  terminal.use_utf8()
  terminal.quiet()
  app.run(main, flags_parser=_parse)
