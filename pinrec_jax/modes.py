"""What the program does, one function a mode."""

import dataclasses
import itertools
import json
import pathlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

import jax

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import splits
from pinrec_jax.evals import plots, tables
from pinrec_jax.evals import run as evals_run
from pinrec_jax.serve import artifact, requests
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.train import loop

TWIN = "uc"  # the unconditioned twin's folder within a run's


def train(config: config_lib.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Trains a model, or goes on where its work folder stopped."""
  return _fit(config, dataset_lib.load(config.data), workdir)


def evaluate(
  config: config_lib.Config, workdir: pathlib.Path
) -> dict[str, Any]:
  """Evaluates the best checkpoint on the test users."""
  dataset = dataset_lib.load(config.data)
  return _measure(config, dataset, workdir)


def index(config: config_lib.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Builds the index of the best checkpoint and writes it."""
  dataset = dataset_lib.load(config.data)
  return _write_index(config, dataset, workdir)


def retrieve(
  config: config_lib.Config,
  workdir: pathlib.Path,
  lines: Iterable[str],
) -> Iterator[str]:
  """Yields a line of JSON, the candidates, for each line, a history.

  Raises:
    ValueError: on a bad budget, surface or history, before any output of the
      batch it is in.
  """
  folder = workdir / "index"
  known, step = artifact.read(folder)
  trained = loop.best(config, known, workdir)
  if trained.step != step:
    raise ValueError(
      f"the index in {folder} is of step {step}, the best checkpoint is of "
      f"step {trained.step}; run --mode=index again"
    )
  retriever = artifact.load(
    folder, config, trained.model, trained.params, known
  )
  budget = retriever.budget()
  key = jax.random.key(config.train.seed)
  numbered = ((n, t) for n, t in enumerate(lines, start=1) if t.strip())
  while batch := list(itertools.islice(numbered, config.evals.batch)):
    read = [
      requests.parse(line, number, known=known, retriever=retriever)
      for number, line in batch
    ]
    # Rounded up to a power of two, so that few sizes are ever compiled.
    padded = read + read[:1] * ((1 << (len(read) - 1).bit_length()) - len(read))
    tokens, features = requests.rows(padded, retriever.longest)
    vectors = retriever.vectors(
      tokens, features, budget, jax.random.fold_in(key, batch[0][0])
    )
    drop = config.index.drop_seen
    seen = [request.events.item[: None if drop else 0] for request in padded]
    found = retriever.candidates(vectors, seen, config.decode.candidates)
    for place, request in enumerate(read):
      yield requests.response(request, found, place, known)


def demo(config: config_lib.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Trains, indexes and evaluates, and shows what turning the budget does."""
  began = time.monotonic()
  dataset = dataset_lib.load(config.data)
  report = _fit(config, dataset, workdir)
  if config.evals.twin and config.model.conditioned:
    print("training the unconditioned twin, for as long")
    _fit(_twin(config), dataset, workdir / TWIN)
  report |= _write_index(config, dataset, workdir)
  report |= _measure(config, dataset, workdir)
  report["seconds"] = time.monotonic() - began
  return report


def _fit(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> dict[str, Any]:
  workdir.mkdir(parents=True, exist_ok=True)
  report = loop.train(config, dataset, workdir)
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  plots.training([json.loads(t) for t in lines], workdir / "training.png")
  return report


def _retriever(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> retriever_lib.Retriever:
  trained = loop.best(config, dataset.catalogue, workdir)
  return retriever_lib.of_params(
    config,
    trained.model,
    trained.params,
    dataset.catalogue,
    splits.outcome_share(dataset),
  )


def _write_index(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> dict[str, Any]:
  began = time.monotonic()
  step = loop.best(config, dataset.catalogue, workdir).step
  retriever = _retriever(config, dataset, workdir)
  artifact.save(retriever, dataset.catalogue, workdir / "index", step=step)
  cases = splits.cases(dataset, "validation", limit=config.evals.batch)
  return {
    "index": type(retriever.index).__name__.lower(),
    "index_items": len(retriever.catalogue),
    "index_seconds": time.monotonic() - began,
    "scann_recall@100": evals_run.index_recall(retriever, cases),
  }


def _measure(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> dict[str, Any]:
  """Evaluates on the test users, plots and prints; the twin too, if any."""
  cases = splits.cases(dataset, "test")
  vocabulary, evals = dataset.vocabulary, config.evals
  retriever = _retriever(config, dataset, workdir)
  report = evals_run.evaluate(retriever, cases)
  popular = evals_run.popularity(
    dataset,
    cases,
    split="test",
    size=max(evals.cutoffs),
    drop_seen=config.index.drop_seen,
  )
  report |= evals_run.of_lists(
    popular, cases, vocabulary, evals.cutoffs, "popularity_"
  )
  models = {"": "PinRec-OC" if config.model.conditioned else "PinRec-UC"}
  if (workdir / TWIN).is_dir() and config.model.conditioned:
    twin = _retriever(_twin(config), dataset, workdir / TWIN)
    report |= evals_run.evaluate(twin, cases, prefix="uc_")
    report |= evals_run.unordered(
      twin, cases, vectors=int(report["vectors"]), prefix="uc_"
    )
    models["uc_"] = "PinRec-UC"
  models["popularity_"] = "popularity"
  report["test_users"] = len(cases)
  report["test_targets"] = sum(len(case.targets) for case in cases)
  shown = [name for name in evals.sweep if name in vocabulary.outcome_names]
  for k in evals.cutoffs:
    plots.recalls(report, models, shown, k, workdir / f"recall@{k}.png")
  print(tables.recalls(report, models, shown, evals.cutoffs))
  if config.model.conditioned and len(shown) > 1:
    some = splits.cases(dataset, "test", limit=evals.sweep_users)
    rows = evals_run.sweep(retriever, some)
    plots.budget_sweep(rows, workdir / "budget_sweep.png")
    print(tables.sweep(rows, max(evals.cutoffs)))
    report |= tables.flat(rows, "sweep")
  print(tables.examples(retriever, dataset.catalogue, cases, evals.examples))
  return report


def _twin(config: config_lib.Config) -> config_lib.Config:
  """Returns the same run without conditions, PinRec-UC."""
  return dataclasses.replace(
    config,
    model=dataclasses.replace(config.model, conditioned=False),
    decode=dataclasses.replace(config.decode, budget="", surface="", offset=-1),
  )
