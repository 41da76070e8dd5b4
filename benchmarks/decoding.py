"""What generation costs: steps, vectors a step, batches, and the cache.

  python benchmarks/decoding.py --output=results/decoding.json

Histories of 200 events, the default model. Sixteen vectors come from one step,
from sixteen, or from something between; all take their turns in every round,
and so does the same generation without a cache, which reads the whole history
anew at each step. The ratios are what to read.
"""

import argparse
import functools
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import contest  # noqa: F401  finds the peers
import jax
import jax.numpy as jnp
import numpy as np
import pinrec_training  # of peers
import record
import work  # of peers

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.data import schema
from pinrec_jax.decode import generate
from pinrec_jax.model import head, item_embedder, pinrec

VECTORS = 16  # of a request, in all
SPLITS = ((16, 1), (8, 2), (4, 4), (2, 8), (1, 16))  # steps, vectors a step
READ = 1, 1  # little else than to read the history
SERVED = 6, 1  # the paper's
LONGEST = 32  # requests in a batch that is read anew; more would take minutes


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument("--batches", default="1,8,32,256")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  model, params, table = made_up()
  found = {}
  for batch in map(int, options.batches.split(",")):
    cases = asked(model, params, table, batch)
    seconds = by_turns(cases, options.rounds)
    found[str(batch)] = told(batch, seconds)
  record.write(options.output, sys.argv[1:], batches=found)


def made_up() -> tuple[pinrec.PinRec, dict, item_embedder.ItemFeatures]:
  """Returns the default model at its first values, and MovieLens' items."""
  known = pinrec_training.catalog(work.ITEMS, ("click", "save"))
  config = config_lib.Config()
  config.data.sequence_length = work.LENGTH + VECTORS
  model = pinrec.of_config(config, known.vocabulary)
  table = item_embedder.features(
    known.items, config.model.num_hashes, config.model.table_size
  )
  tokens = _tokens(1)
  params = jax.jit(model.init)(jax.random.key(0), table, tokens)["params"]
  return model, params, table


def _tokens(batch: int) -> schema.Tokens:
  tokens = pinrec_training.batch(work.histories(batch)).tokens
  return tokens._replace(actions=np.repeat(tokens.actions, 2, -1))


def asked(
  model: pinrec.PinRec,
  params: dict,
  table: item_embedder.ItemFeatures,
  batch: int,
) -> dict[str, Callable[[], Any]]:
  """Returns what there is to do, by name; each waits for its vectors."""
  tokens = _tokens(batch)
  bound = model.bind({"params": params})
  embedded = bound.embed(table)[tokens.item]
  read = embedded, jax.tree.map(jnp.asarray, tokens)
  keys = jax.random.split(jax.random.key(1), batch)
  cases = {}
  for steps, vectors in (*SPLITS, READ, SERVED):
    wanted = wishes(batch, vectors)
    cases[f"{steps} x {vectors}"] = functools.partial(
      generate.generate, model, params, *read, wanted, keys, steps=steps
    )
    if vectors == 1 < steps and batch <= LONGEST:
      cases[f"{steps} x 1, no cache"] = functools.partial(
        uncached, model, params, *read, steps=steps
      )
  return cases


def wishes(batch: int, vectors: int) -> generate.Wanted:
  one = np.arange(vectors) == 0
  return generate.Wanted(
    outcome=np.arange(vectors, dtype=np.int32) % 3,
    offset=np.full(vectors, -1, np.int32),
    feedback=one.astype(np.float32),
    surface=np.zeros(batch, np.int32),
    item_type=np.array(0, np.int32),
    age=np.array(-1, np.int32),
  )


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def uncached(
  model: pinrec.PinRec,
  params: dict,
  vectors: jax.Array,
  tokens: schema.Tokens,
  *,
  steps: int,
) -> jax.Array:
  """Returns the vectors of one query a step; everything is read at each."""
  bound, found = model.bind({"params": params}), []
  wanted = wishes(len(vectors), 1)
  drawn = jnp.zeros(len(vectors), jnp.int32)
  for _ in range(steps):
    states, _ = bound.states(vectors, tokens, last=True)
    found.append(bound.queries(states[:, -1], head.UNSPECIFIED))
    last = jax.tree.map(lambda column: column[:, -1:], tokens)
    tokens = jax.tree.map(
      lambda past, new: jnp.concatenate([past, new], 1),
      tokens,
      generate.following(last, wanted, drawn),
    )
    vectors = jnp.concatenate([vectors, found[-1][:, None]], 1)
  return jnp.stack(found, 1)


def by_turns(
  cases: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
  """Returns every case's seconds, a turn a round; the first compiles."""
  seconds: dict[str, list[float]] = {name: [] for name in cases}
  for turn in range(rounds + 1):
    for name, case in cases.items():
      began = time.perf_counter()
      jax.block_until_ready(case())
      if turn:
        seconds[name].append(time.perf_counter() - began)
  return seconds


def told(batch: int, seconds: dict[str, list[float]]) -> dict[str, Any]:
  """Prints and returns medians, and how often faster one step is."""
  first = f"{VECTORS} x 1"
  found = {}
  rows = []
  for name, values in seconds.items():
    ratios = [a / b for a, b in zip(seconds[first], values, strict=True)]
    found[name] = {
      "seconds": statistics.median(values),
      "p90": float(np.quantile(values, 0.9)),
      "ratio": statistics.median(ratios),
    }
    row = found[name]
    rows.append([name, f"{1e3 * row['seconds']:.1f}", f"{row['ratio']:.2f} x"])
  head = ["steps x vectors", "ms", f"{first} takes"]
  print(f"\nbatch {batch}\n\n{markdown.table(head, rows)}")
  return found


if __name__ == "__main__":
  main()
