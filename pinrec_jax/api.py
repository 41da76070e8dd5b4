"""What `import pinrec_jax` offers; all else may change between versions.

  import pinrec_jax

  config = pinrec_jax.read_config("configs/demo.py")
  pinrec_jax.train(config, "runs/demo")
  pinrec_jax.build_index(config, "runs/demo")
  retriever = pinrec_jax.Retriever.load("runs/demo")
  request = {"user": "me", "events": [{"item": 4214}]}
  for answer in retriever.retrieve([request], budget={"is_click": 1.0}):
    print(answer["candidates"])

A work folder is what the command line's --workdir is, and holds the same.
"""

import dataclasses
import itertools
import pathlib
import runpy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from pinrec_jax import compiled, config_json, modes, rules, sharding
from pinrec_jax.config import Config as Config
from pinrec_jax.data import catalogue
from pinrec_jax.serve import artifact, requests
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import loop

_HERE = pathlib.Path(__file__).parent
# Within an installed package, and beside that of a checkout.
CONFIGS = _HERE / "configs"
if not CONFIGS.is_dir():
  CONFIGS = _HERE.parent / "configs"


def read_config(path: str, argument: str | None = None) -> Config:
  """Returns the configuration of a file under configs/.

  Args:
    path: a file; where there is none of this name, the package's own.
    argument: what follows the colon on the command line, if the file takes it.

  Raises:
    FileNotFoundError: naming the files there are.
  """
  get_config = runpy.run_path(str(find_config(path)))["get_config"]
  return get_config() if argument is None else get_config(argument)


def find_config(path: str) -> pathlib.Path:
  """Returns a configuration file, or the package's own of the same name."""
  here = pathlib.Path(path).expanduser()
  own = CONFIGS / here.parent.name / here.name, CONFIGS / here.name
  for file in (here, *own):
    if file.is_file():
      return file
  known = ", ".join(sorted(p.name for p in CONFIGS.glob("[!_]*.py")))
  raise FileNotFoundError(
    f"no configuration {path}; write one, or choose from {known}"
  )


def prepare(config: Config, workdir: str | pathlib.Path) -> dict[str, Any]:
  """Prepares a log if need be and returns what it holds and what it lost.

  Args:
    config: what to run, as in every function here.
    workdir: where the run goes; its report.json takes up what is returned.

  Raises:
    ValueError: on a field that cannot be, or a log that cannot be read.
  """
  return modes.run("prepare", config, pathlib.Path(workdir))


def train(config: Config, workdir: str | pathlib.Path) -> dict[str, Any]:
  """Trains a model, or goes on where its work folder stopped.

  Raises:
    ValueError: on a field that cannot be, or a log that cannot be read.
    RunStoppedError: (pinrec_jax.training.loop) after Ctrl-C or SIGTERM; the
      state is saved.
    RunDivergedError: likewise, on a loss that is no number.
  """
  return modes.run("train", config, pathlib.Path(workdir))


def build_index(config: Config, workdir: str | pathlib.Path) -> dict[str, Any]:
  """Builds the index of a run's best checkpoint, for `Retriever.load`.

  Raises:
    FileNotFoundError: if there is no checkpoint.
    ValueError: if it is of another configuration.
  """
  return modes.run("index", config, pathlib.Path(workdir))


def evaluate(config: Config, workdir: str | pathlib.Path) -> dict[str, Any]:
  """Returns the figures of a run's best checkpoint on the test users.

  Raises:
    FileNotFoundError: if there is no checkpoint.
    ValueError: if it is of another configuration.
  """
  return modes.run("evaluate", config, pathlib.Path(workdir))


@dataclasses.dataclass(frozen=True)
class Retriever:
  """A trained and indexed run that answers requests."""

  known: catalogue.Catalogue
  serving: retriever_lib.Retriever

  @classmethod
  def load(
    cls, workdir: str | pathlib.Path, config: Config | None = None
  ) -> "Retriever":
    """Reads a run's index and the checkpoint it is of.

    Args:
      workdir: of the run.
      config: how to serve; by default as the index was built.

    Raises:
      FileNotFoundError: if there is no index or no checkpoint.
      ValueError: if the index is older than the checkpoint, or the
        configuration does not fit them.
    """
    workdir = pathlib.Path(workdir).expanduser()
    rules.require_folder(workdir)
    folder = workdir / "index"
    known, step = artifact.read(folder)
    if config is None:
      config = config_json.load(folder / "config.json")
    rules.validate(config)
    sharding.require(config.train.device)
    compiled.keep(config.train.compiled)
    trained = loop.best(config, known, workdir)
    if trained.step != step:
      raise ValueError(
        f"the index in {folder} is of step {step}, the best checkpoint is of "
        f"step {trained.step}; run --mode=index again"
      )
    return cls(
      known,
      artifact.load(folder, config, trained.model, trained.params, known),
    )

  @property
  def outcomes(self) -> tuple[str, ...]:
    """The outcomes that a budget may name."""
    return tuple(self.known.vocabulary.outcome_names)

  @property
  def surfaces(self) -> tuple[str, ...]:
    """The surfaces that an event may name."""
    return tuple(self.known.vocabulary.surfaces)

  def warm_up(
    self,
    most: int = 1,
    *,
    budget: str | Mapping[str, float] | None = None,
    candidates: int | None = None,
  ) -> None:
    """Compiles for batches of up to `most` requests, before there are any.

    Batches are rounded up to powers of two and what is left out of lists to
    multiples, so these are few; each is tried on made-up histories. A server
    that starts again finds its programs in `train.compiled`.

    Args:
      most: requests in a batch.
      budget: as of the requests to come, for its number of outcomes.
      candidates: likewise.

    Raises:
      ValueError: on a bad budget or number.
    """
    if most < 1:
      raise ValueError(f"most is {most}; warm up for 1 request or more")
    serving, size = self.serving, self._size(candidates)
    longest = min(serving.longest - 1, len(serving.catalogue) - size)
    known = self.known.items.ids[serving.catalogue[: max(longest, 1)]].tolist()
    action = self.known.vocabulary.actions[0]
    events = [{"item": item, "actions": [action]} for item in known]
    for length in range(1, len(events) + 1, retriever_lib.LEFT_OUT):
      request = {"user": "warm-up", "events": events[:length]}
      for power in range((most - 1).bit_length() + 1):
        batch = [request] * (1 << power)
        for _ in self.retrieve(batch, budget=budget, candidates=candidates):
          pass

  def retrieve(
    self,
    histories: Iterable[str | Mapping[str, Any]],
    *,
    budget: str | Mapping[str, float] | None = None,
    candidates: int | None = None,
  ) -> Iterator[dict[str, Any]]:
    """Yields a user's candidates, best first, for each history.

    Args:
      histories: mappings or lines of JSON such as {"user": "u", "events":
        [{"item": 7, "actions": ["click"], "time": 1650000000}]}, oldest event
        first; pinrec_jax/serve/requests.py tells what else they may hold.
      budget: share of the candidates for each outcome, as a mapping or as
        "click:0.7,like:0.3"; by default the configuration's.
      candidates: how many to return; by default the configuration's.

    Yields:
      {"user": ..., "candidates": [{"item", "outcome", "offset", "step",
      "score"}, ...]}, and the "unknown_items" of the history, if any.

    Raises:
      ValueError: on a bad budget, number, surface or history, before anything
        of the batch it is in is yielded.
    """
    if isinstance(budget, Mapping):
      budget = ",".join(f"{name}:{share}" for name, share in budget.items())
    config, serving = self.serving.config, self.serving
    size = self._size(candidates)
    shares = serving.budget(budget)
    key, served = jax.random.key(config.train.seed), 0
    told = (t for t in enumerate(histories, start=1) if _holds(t[1]))
    while batch := list(itertools.islice(told, config.evals.batch)):
      read = [
        requests.parse(text, number, known=self.known, retriever=serving)
        for number, text in batch
      ]
      # Rounded up to a power of two, so that few sizes are ever compiled.
      more = (1 << (len(read) - 1).bit_length()) - len(read)
      padded = read + read[:1] * more
      tokens, features = requests.rows(padded, serving.longest)
      numbers = served + np.arange(len(padded))
      read_items = serving.embed(features)
      vectors = serving.vectors(tokens, read_items, shares, key, numbers)
      served += len(read)
      found = serving.candidates(vectors, [r.seen for r in padded], size)
      for place, request in enumerate(read):
        yield requests.response(request, found, place, self.known)

  def _size(self, candidates: int | None) -> int:
    """Returns how many candidates are asked for."""
    if candidates is None:
      return self.serving.config.decode.candidates
    if candidates < 1:
      raise ValueError(f"candidates is {candidates}; ask for 1 or more")
    return candidates


def _holds(history: str | Mapping[str, Any]) -> bool:
  """Whether it is more than an empty line."""
  return not isinstance(history, str) or bool(history.strip())
