"""Three ways to serve a budget over two outcomes, compared on one log.

  python benchmarks/budget_methods.py --config=configs/demo.py \
    --workdir=runs/seeds --seeds=3 --output=results/budget_methods_mini.json

Each way makes one list per user and budget from the same two vectors:

  split    interleaves the vectors' lists by their shares, as the package does
  blend    searches once, for the unit sum of the vectors, weighted by share
  mixture  ranks by the weighted sum of an item's two softmax probabilities

A budget moves from one outcome to the other in steps of 10 %. A weighted sum of
hits has weight w for one outcome and 1 - w for the other. Hits are relative to
those of split with the whole budget on their outcome. The figure of a way is
the best weighted sum of any of its budgets, as a mean over w = 0, 0.1 to 1. The
gain over split has a 95 % interval by bootstrap over users, whose hits are
means over seeds. Seeds that the work folder lacks are trained. --source names
the folder of a log's files.

The budget sweep of the first seed is measured and plotted, too.
"""

import argparse
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import record
import repeats
from jaxtyping import Array, Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, markdown, opening, workflows
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import budget_sweep, comparison, metrics, plots, text
from pinrec_jax.index import merge_lists
from pinrec_jax.inference import engine
from pinrec_jax.types import Params

METHODS = ("split", "blend", "mixture")
SIZES = (10, 100)  # Lengths of lists.
SHARES = WEIGHTS = np.linspace(0, 1, 11)
BATCH = 256
RESAMPLES = 1000
# Hits by pair of outcomes, method and size.
Hits = dict[tuple[str, str, str, int], Float[np.ndarray, "p b 2"]]


def main() -> None:
  """Trains missing seeds, then measures, writes and prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", required=True)
  parser.add_argument("--source", default="")
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  flags = [f"--config.data.source={options.source}"] if options.source else []
  folders = repeats.of_seeds(
    options.config, options.workdir, options.seeds, flags, mode="train"
  )
  config = config_files.read_config(options.config)
  config.data.source = options.source
  config, dataset = opening.load(config)
  cases = evaluation_cases.cases(dataset, "test", limit=comparison.SWEEP_USERS)
  seeds = [measure(config, dataset, cases, folder) for folder in folders]
  hits = {key: np.mean([own[key] for own in seeds], 0) for key in seeds[0]}
  found = compared(hits)
  retriever = workflows.retriever(config, next(iter(folders)), dataset)
  swept = budget_sweep.sweep(retriever, cases, config.evals)
  record.write(
    options.output,
    [f"--config={options.config}", f"--seeds={options.seeds}"],
    users=len(cases),
    methods=found,
    steering=swept.steering,
    sweep=swept.rows,
  )
  plots.frontier(*swept, options.output.with_suffix(".png"))
  print(table(found))
  print(text.sweep(swept.rows, max(config.evals.cutoffs)))
  print(text.steering(swept.steering, config.evals.sweep))


def measure(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  folder: pathlib.Path,
) -> Hits:
  """Returns the hits of all lists of one trained model."""
  retriever = workflows.retriever(config, folder, dataset)
  names, targets = config.evals.sweep, metrics.targets(cases)
  found: Hits = {}
  for pair in itertools.combinations(names, 2):
    outcomes = [dataset.vocabulary.outcome(name) for name in pair]
    parts = [
      _lists(retriever, cases[first : first + BATCH], pair)
      for first in range(0, len(cases), BATCH)
    ]
    every = np.concatenate(parts, 2)  # [method, budget, user, place]
    for method, lists in zip(METHODS, every, strict=True):
      for size in SIZES:
        found[*pair, method, size] = np.array(
          [
            [metrics.acted_on(own[:, :size], targets, o) for o in outcomes]
            for own in lists
          ]
        ).transpose(0, 2, 1)
  return found


def _lists(
  retriever: engine.Retriever,
  cases: Sequence[evaluation_cases.Case],
  pair: tuple[str, str],
) -> Int[np.ndarray, "m p b c"]:
  """Returns the lists of a batch of users, by method and budget."""
  reader, bundle = retriever.reader, retriever.bundle
  ask = reader.defaults(budget=dict.fromkeys(pair, 0.5)).ask._replace(steps=1)
  requests = [
    reader.from_events(case.user, case.past, ask=ask, candidates=max(SIZES))
    for case in cases
  ]
  vectors = retriever.generate(requests)
  order = [
    vectors.outcome[0].tolist().index(bundle.vocabulary.outcome(name))
    for name in pair
  ]
  free = np.ones((len(cases), len(bundle.vectors)), bool)
  for own, request in zip(free, requests, strict=True):
    own[request.seen] = False
  every = [
    of_budget(
      vectors.query[:, order],
      bundle.vectors[bundle.candidates],
      free[:, bundle.candidates],
      jnp.array([1 - share, share]),
      temperature(bundle.params),
    )
    for share in SHARES
  ]
  return bundle.candidates[np.stack(every, 1)]


def temperature(params: Params) -> float:
  """Returns the learned softmax temperature of a model."""
  return float(np.exp(np.asarray(params["log_temperature"])))


@jax.jit
def of_budget(
  query: Float[Array, "b 2 d"],
  items: Float[Array, "n d"],
  free: Array,
  share: Float[Array, "2"],
  temperature: float,
) -> Int[Array, "m b c"]:
  """Returns the lists of all methods for one budget.

  Args:
    query: vectors of two outcomes.
    items: vectors of the candidates.
    free: whether a user may get an item.
    share: of each outcome.
    temperature: of the softmax.
  """
  size, batch = max(SIZES), len(query)

  def _cosine(query: Float[Array, "b q d"]) -> Float[Array, "b q n"]:
    found = jnp.einsum("bqd,nd->bqn", query, items)
    return jnp.where(free[:, None], found, -jnp.inf)

  cosine = _cosine(query)
  score, place = jax.lax.top_k(cosine, size)
  nobody = jnp.full((batch, 1), -1)
  shares = jnp.broadcast_to(share, (batch, 2))
  split = merge_lists.merge(place, score, shares, nobody, size=size).item
  blend = _cosine(jnp.einsum("bqd,q->bd", query, share)[:, None])[:, 0]
  chance = jax.nn.softmax(cosine / temperature, -1)
  mixture = jnp.einsum("bqn,q->bn", chance, share)
  others = [jax.lax.top_k(own, size)[1] for own in (blend, mixture)]
  return jnp.stack([split, *others])


def compared(hits: Hits) -> list[dict[str, Any]]:
  """Returns the gain of every way over split, by pair and length of lists."""
  rows = []
  for (here, there, method, size), own in hits.items():
    if method == METHODS[0]:
      continue
    split = hits[here, there, METHODS[0], size]
    gain, low, high = gains(own, split)
    rows.append(
      {"pair": [here, there], "method": method, "size": size, "gain": gain}
      | {"low": low, "high": high, "hits": own.sum(1).tolist()}
      | {"split_hits": split.sum(1).tolist()}
    )
  return rows


def gains(
  own: Float[np.ndarray, "p b 2"], split: Float[np.ndarray, "p b 2"]
) -> tuple[float, float, float]:
  """Returns the gain in the best weighted sum, and its 95 % interval."""
  users = own.shape[1]
  rng = np.random.default_rng(0)
  drawn = rng.multinomial(users, np.full(users, 1 / users), size=RESAMPLES)
  weights = np.concatenate([np.ones((1, users)), drawn])
  one, other = (
    np.einsum("rb,pbo->rpo", weights, hits, optimize=True)
    for hits in (own, split)
  )
  whole = np.stack([other[:, 0, 0], other[:, -1, 1]], -1)[:, None]
  gain = _best(one / whole) / _best(other / whole) - 1
  low, high = np.percentile(gain[1:], [2.5, 97.5])
  return float(gain[0]), float(low), float(high)


def _best(hits: Float[np.ndarray, "r p 2"]) -> Float[np.ndarray, "r"]:
  """Returns the best weighted sum of a way, a mean over weights."""
  weights = np.stack([1 - WEIGHTS, WEIGHTS])
  return (hits @ weights).max(1).mean(-1)


def table(found: Sequence[dict[str, Any]]) -> str:
  """Returns the gains over split as a Markdown table."""
  rows = [
    [
      " and ".join(row["pair"]),
      f"{row['size']}",
      row["method"],
      f"{100 * row['gain']:+.1f} % ({100 * row['low']:+.1f} to "
      f"{100 * row['high']:+.1f})",
    ]
    for row in found
  ]
  return markdown.table(["outcomes", "list", "way", "gain over split"], rows)


if __name__ == "__main__":
  main()
