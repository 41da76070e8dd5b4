"""The modes of the command line: each prints, plots and writes its report."""

import pathlib
import sys
from collections.abc import Callable

import jax

from pinrec_jax import config as config_lib
from pinrec_jax import doctor as doctor_lib
from pinrec_jax import files, reports, validation, workflows
from pinrec_jax import twin as twin_lib
from pinrec_jax import update as update_lib
from pinrec_jax.buckets import addresses, work_folder
from pinrec_jax.data import row_errors
from pinrec_jax.evals import plots, text
from pinrec_jax.training import logs

REPORT = "report.json"

# Sections of report.json that a mode makes obsolete.
OBSOLETE = {
  "train": ("index", "evaluate", "demo", "export"),
  "index": ("export",),
  "update": ("index", "export"),
  "demo": ("train", "index", "evaluate", "export"),
}


def run(
  mode: str,
  config: config_lib.Config | None,
  workdir: str | pathlib.Path,
) -> None:
  """Runs a mode and writes its figures to report.json in the work folder.

  Args:
    mode: one of MODES.
    config: of the run; the doctor needs none.
    workdir: made if it does not exist; a path, or an address.
  """
  if mode == "doctor":  # It says itself that a bucket cannot be reached.
    _report(mode, config, addresses.local(workdir))
    return
  validation.validate(config)  # Raises before anything is downloaded.
  with work_folder.opened(workdir) as folder:
    report = _report(mode, config, folder)
  if isinstance(report, reports.DemoReport):
    report = report.evaluate
  if isinstance(report, reports.EvaluateReport):
    _say(report.verdict)


def _report(
  mode: str, config: config_lib.Config | None, workdir: pathlib.Path
) -> reports.Report:
  """Returns the report of a mode, which it has written."""
  report = MODES[mode](config, workdir)
  if _is_first():
    path = workdir / REPORT
    write_report(path, mode, report)
    uploaded = addresses.of(path) if mode != "doctor" else ""
    print(f"report: {uploaded or path}")
  return report


def write_report(path: pathlib.Path, mode: str, report: reports.Report) -> None:
  """Puts a mode's figures into report.json.

  The file is an object with one section per mode. Sections that the mode made
  obsolete are removed, and so is everything else. A damaged file is replaced.
  """
  sections = {}
  if path.is_file():
    try:
      sections = files.read_json(path)
    except ValueError as error:
      print(f"{error}; it is written again", file=sys.stderr)
  kept = {*MODES} - {*OBSOLETE.get(mode, ()), mode}
  sections = {key: value for key, value in sections.items() if key in kept}
  files.write_json(path, {**sections, mode: report.figures()})


def prepare(
  config: config_lib.Config, workdir: pathlib.Path
) -> reports.PrepareReport:
  """Prepares a log and prints its statistics and its row errors."""
  report = workflows.prepare(config, workdir)
  errors = report.row_errors
  if _is_first():
    plots.statistics(report.statistics, workdir / "statistics.png")
  _say(text.statistics(report.statistics.figures))
  _say(text.repeats(report.repeats))
  _say(f"{errors.rejected:,} of {errors.rows:,} rows were left out")
  _say(str(errors))
  _say(f"prepared: {report.folder}")
  return report


def train(
  config: config_lib.Config, workdir: pathlib.Path
) -> reports.TrainReport:
  """Trains a model and plots its loss."""
  report = workflows.train(config, workdir)
  _show_training(config, report, workdir)
  return report


def _show_training(
  config: config_lib.Config, report: reports.TrainReport, workdir: pathlib.Path
) -> None:
  if report.inherited_step is not None:
    _say(
      f"started from the {report.parameters:,} parameters of "
      f"{config.train.init_from}, step {report.inherited_step}; optimizer and "
      "data order were new"
    )
  if _is_first():
    plots.training(logs.read(workdir), workdir / "training.png")


def index(
  config: config_lib.Config, workdir: pathlib.Path
) -> reports.IndexReport:
  """Writes the bundle of the best checkpoint."""
  report, _ = workflows.build_index(config, workdir)
  _say(f"bundle: {workdir / workflows.BUNDLES / report.bundle}")
  return report


def export(
  config: config_lib.Config, workdir: pathlib.Path
) -> reports.ExportReport:
  """Writes the current bundle for other software."""
  report = workflows.export_bundle(config, workdir)
  _say(f"{report.items:,} item vectors and the program: {report.folder}")
  _say(f"JAX promises to read the program until {report.readable_until}")
  return report


def evaluate(
  config: config_lib.Config, workdir: pathlib.Path
) -> reports.EvaluateReport:
  """Evaluates the best checkpoint, prints tables and plots."""
  report = workflows.evaluate(config, workdir)
  _show_evaluation(config, report, workdir)
  return report


def _show_evaluation(
  config: config_lib.Config,
  report: reports.EvaluateReport,
  workdir: pathlib.Path,
) -> None:
  cutoffs, counts = config.evals.cutoffs, report.outcome_targets
  outcomes = [n for n in config.evals.sweep if n in counts]
  outcomes = outcomes or [name for name, count in counts.items() if count]
  if _is_first():
    for k in cutoffs:
      plots.recalls(report.models, outcomes, k, workdir / f"recall@{k}.png")
    if report.sweep:
      plots.budget_sweep(report.sweep, workdir / "budget_sweep.png")
      plots.frontier(report.sweep, report.steering, workdir / "frontier.png")
  shown = {"": report.targets, **{name: counts[name] for name in outcomes}}
  _say(text.recalls(report.models, shown, cutoffs))
  _say(text.neighbours(report.models))
  if report.sweep:
    _say(text.sweep(report.sweep, max(cutoffs)))
    _say(text.steering(report.steering, config.evals.sweep))
  _say(text.examples(report.examples))


def demo(
  config: config_lib.Config, workdir: pathlib.Path
) -> reports.DemoReport:
  """Trains, indexes and evaluates, with the twin and the budget sweep."""
  report = workflows.demo(config, workdir)
  _show_training(config, report.train, workdir)
  if report.twin:
    twin = twin_lib.of_config(config)
    _show_training(twin, report.twin, workdir / twin_lib.FOLDER)
  _show_evaluation(config, report.evaluate, workdir)
  return report


def update(
  config: config_lib.Config, workdir: pathlib.Path
) -> reports.UpdateReport:
  """Trains on new files and publishes a bundle if the gate allows it."""
  report = update_lib.update(config, workdir)
  for name in report.repeated:
    _say(f"{name} is left out: its content was read before, as another file")
  if not report.day:
    _say("nothing is new: all files were read by earlier updates")
    return report
  errors = row_errors.load(addresses.local(str(report.day["log"])))
  _say(f"{errors.rejected:,} of {errors.rows:,} new rows were left out")
  _say(str(errors))
  _say(text.day(report.day))
  if _is_first():
    plots.days(report.days, workdir / "days.png")
  return report


def doctor(
  config: config_lib.Config | None, workdir: pathlib.Path
) -> doctor_lib.Diagnosis:
  """Prints versions, devices, data, free space, and every fault.

  Raises:
    ValueError: naming all faults, after everything was printed.
  """
  found = doctor_lib.examine(config, workdir)
  for name, value, remedy in found.findings:
    _say(f"{'!!' if remedy else 'ok'}  {name:24} {value}")
  found.require()
  return found


MODES: dict[str, Callable[..., reports.Report]] = {
  "doctor": doctor,
  "demo": demo,
  "prepare": prepare,
  "train": train,
  "evaluate": evaluate,
  "index": index,
  "export": export,
  "update": update,
}


def _is_first() -> bool:
  """Whether this process is the one that writes and prints."""
  try:
    return jax.process_index() == 0
  except (RuntimeError, AssertionError):  # No device; the doctor reports it.
    return True


def _say(message: str) -> None:
  if _is_first() and message:
    print(message)
