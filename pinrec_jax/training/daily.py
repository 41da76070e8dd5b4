"""The days of a run: their models, and the line that each leaves."""

import json
import math
import pathlib
import shutil
from typing import NamedTuple

from pinrec_jax import config as config_lib
from pinrec_jax import files, reports
from pinrec_jax.buckets import addresses
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import days as days_lib
from pinrec_jax.data import evaluation_cases, histories
from pinrec_jax.inference import bundle_folders
from pinrec_jax.training import runs

FOLDER, LINES = "days", "days.jsonl"  # In a work folder.
KEPT = 7  # Latest days whose checkpoints are kept.
PASSES = 2  # Passes over a day; five overfit.
CHECKPOINTS = 5  # Of a day's training, for a stop in between.


class Model(NamedTuple):
  """A trained model.

  Attributes:
    folder: of its run, relative to the work folder.
    until: unix second at which its training data end.
  """

  folder: str
  until: int


def read(workdir: pathlib.Path) -> list[reports.Figures]:
  """Returns the lines of days.jsonl, one a day.

  Raises:
    ValueError: naming a damaged line.
  """
  path, found = workdir / LINES, []
  if not path.is_file():
    return []
  for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
    try:
      found.append(dict(json.loads(line)))
    except (TypeError, ValueError) as error:
      raise ValueError(
        f"{path}:{number} is damaged: {line[:40]!r}; correct or remove the line"
      ) from error
  return found


def write(workdir: pathlib.Path, lines: list[reports.Figures]) -> None:
  """Writes the lines of days.jsonl."""
  text = "".join(json.dumps(line) + "\n" for line in lines)
  files.write(workdir / LINES, text)


def log_folder(
  workdir: pathlib.Path, lines: list[reports.Figures]
) -> pathlib.Path:
  """Returns the folder of the log so far.

  Raises:
    FileNotFoundError: if the run is not known to have a log.
  """
  if lines:
    return addresses.local(str(lines[-1]["log"]))
  path = workdir / runs.LOG
  if not path.is_file():
    raise FileNotFoundError(
      f"{path} is missing: there is no run to update in {workdir}; run "
      "--mode=train first, with the same --workdir and the files so far"
    )
  return addresses.local(files.read_json(path)["folder"])


def current(
  config: config_lib.Config,
  workdir: pathlib.Path,
  bundles: pathlib.Path,
  lines: list[reports.Figures],
) -> Model:
  """Returns the model of the current bundle.

  That is the run itself before the first update, or if an operator has gone
  back to its bundle.

  Raises:
    FileNotFoundError: if the model's checkpoints were deleted.
  """
  version = bundle_folders.current(bundles)
  for line in reversed(lines):
    if version and line["bundle"] == version:
      found = Model(str(line["model"]), int(line["until"]))
      if not (workdir / found.folder / runs.CHECKPOINTS).is_dir():
        raise FileNotFoundError(
          f"the current bundle {version} is of {line['date']}, and its "
          f"checkpoints in {workdir / found.folder} were deleted after {KEPT} "
          "days; make a newer bundle current, or train a new run with another "
          "--workdir"
        )
      return found
  log = addresses.local(files.read_json(workdir / runs.LOG)["folder"])
  first = dataset_lib.opened(config.data, log)
  split = evaluation_cases.after_training(
    train_on_validation=config.train.train_on_validation
  )
  moment = {"validation": "validation_from", "test": "test_from"}[split]
  until = getattr(first.vocabulary, moment) or days_lib.newest(first) + 1
  return Model("", until)


def day_config(
  config: config_lib.Config,
  workdir: pathlib.Path,
  yesterday: Model,
  day: days_lib.Day,
) -> config_lib.Config:
  """Returns the configuration of a day's training."""
  train, read = config.train, config.data.history_events
  tokens = sum(
    1 + int(histories.readable(events, read).sum())
    for events in day.dataset.events
  )
  row_tokens = train.batch_size * config.data.sequence_length
  steps = math.ceil(PASSES * tokens / row_tokens)
  return config_lib.replace(
    reading(config, Model(FOLDER, 0)),
    **{
      "train.init_from": str(workdir / yesterday.folder),
      "train.steps": steps,
      "train.warmup_steps": min(train.warmup_steps, steps // 10),
      "train.eval_every": max(steps // CHECKPOINTS, 1),
      "train.learning_rate": config.update.learning_rate,
    },
  )


def reading(config: config_lib.Config, model: Model) -> config_lib.Config:
  """Returns the configuration with which a model's checkpoints are read.

  A day has no validation, and the run itself may have one.
  """
  own = bool(model.folder) or config.train.train_on_validation
  changes: dict[str, bool | int] = {"train.train_on_validation": own}
  if own:
    changes["train.patience"] = 0
  return config_lib.replace(config, **changes)


def prune(workdir: pathlib.Path, lines: list[reports.Figures]) -> None:
  """Deletes the folders of old days, and what killed updates left.

  The model of the latest published day stays.
  """
  published = [line for line in lines if line["published"]]
  recent = lines[-KEPT:] + published[-1:]
  kept = {pathlib.Path(str(line["model"])).name for line in recent}
  for folder in (workdir / FOLDER).glob("*"):
    if folder.name not in kept:
      shutil.rmtree(folder, ignore_errors=True)
