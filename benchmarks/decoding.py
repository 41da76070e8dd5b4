"""The cost of generation: steps, vectors per step, batch size and the cache.

  python benchmarks/decoding.py --output=results/decoding.json

The default model reads histories of 200 events. Sixteen vectors come from one
step, from sixteen, or from a number between. Generation without a cache reads
the whole history again at each step. All cases are measured in interleaved
rounds; read the ratios.
"""

import argparse
import functools
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import record
import timing
from peers import pinrec_training, work

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.data import schema
from pinrec_jax.decode import conditions, generate
from pinrec_jax.model import head, item_embedder, pinrec

VECTORS = 16  # Of a request.
SPLITS = ((16, 1), (8, 2), (4, 4), (2, 8), (1, 16))  # Steps, vectors per step.
READ = 1, 1  # Takes little longer than reading the history.
PAPER = 6, 1  # Steps and vectors per step of the paper.
MAX_UNCACHED = 32  # Larger batches would take minutes without a cache.


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument("--batches", default="1,8,32,256")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  model, params, table = default_model()
  found = {}
  for batch in map(int, options.batches.split(",")):
    seconds = timing.interleaved(
      generations(model, params, table, batch), options.rounds
    )
    found[str(batch)] = compared(seconds)
    print(f"\nbatch {batch}\n\n{shown(found[str(batch)])}")
  record.write(options.output, sys.argv[1:], batches=found)


def default_model() -> tuple[pinrec.PinRec, dict, item_embedder.ItemFeatures]:
  """Returns the untrained default model and features like MovieLens'."""
  catalog = pinrec_training.catalog(work.ITEMS, ("click", "save"))
  config = config_lib.Config()
  config.data.sequence_length = work.LENGTH + VECTORS
  model = pinrec.of_config(config, catalog.vocabulary)
  table = item_embedder.features(
    catalog.items, config.model.num_hashes, config.model.table_size
  )
  tokens = _tokens(1)
  params = jax.jit(model.init)(jax.random.key(0), table, tokens)["params"]
  return model, params, table


def _tokens(batch: int) -> schema.Tokens:
  tokens = pinrec_training.batch(work.histories(batch)).tokens
  return tokens._replace(actions=np.repeat(tokens.actions, 2, -1))


def generations(
  model: pinrec.PinRec,
  params: dict,
  table: item_embedder.ItemFeatures,
  batch: int,
) -> dict[str, Callable[[], Any]]:
  """Returns the generations to measure, by name."""
  tokens = _tokens(batch)
  vectors = pinrec.embed_items(model, params, table)[tokens.item]
  inputs = jnp.asarray(vectors), jax.tree.map(jnp.asarray, tokens)
  cases = {}
  for steps, width in (*SPLITS, READ, PAPER):
    asked = requested(batch, width)
    cases[f"{steps} x {width}"] = functools.partial(
      generate.generate, model, params, *inputs, asked, steps=steps
    )
    if width == 1 < steps and batch <= MAX_UNCACHED:
      cases[f"{steps} x 1, no cache"] = functools.partial(
        uncached, model, params, *inputs, steps=steps
      )
  return cases


def requested(batch: int, vectors: int) -> conditions.Conditions:
  """Returns conditions for a number of vectors per step."""
  return conditions.Conditions(
    outcome=np.arange(vectors, dtype=np.int32) % 3,
    offset=np.full((batch, vectors), conditions.NEXT_EVENT, np.int32),
    fed_back=np.zeros(batch, np.int32),
    surface=np.zeros(batch, np.int32),
    item_type=np.zeros(batch, np.int32),
    age=np.full(batch, conditions.UNSPECIFIED, np.int32),
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
  """Generates one vector per step, and reads the whole history at each."""
  bound, found = model.bind({"params": params}), []
  asked = requested(len(vectors), 1)
  for _ in range(steps):
    states, _ = bound.states(vectors, tokens, last=True)
    found.append(bound.queries(states[:, -1], head.UNSPECIFIED))
    last = jax.tree.map(lambda column: column[:, -1:], tokens)
    tokens = jax.tree.map(
      lambda past, new: jnp.concatenate([past, new], 1),
      tokens,
      generate.next_token(last, asked),
    )
    vectors = jnp.concatenate([vectors, found[-1][:, None]], 1)
  return jnp.stack(found, 1)


def compared(seconds: dict[str, list[float]]) -> dict[str, Any]:
  """Returns medians, 90th percentiles and how much faster each case is."""
  found = timing.compared(seconds, f"{VECTORS} x 1")
  return {
    name: {
      "seconds": row["seconds"],
      "p90": float(np.quantile(seconds[name], 0.9)),
      "ratio": 1 / row["ratio"],
    }
    for name, row in found.items()
  }


def shown(found: dict[str, Any]) -> str:
  """Returns a Markdown table."""
  rows = [
    [name, f"{1e3 * row['seconds']:.1f}", f"{row['ratio']:.2f}"]
    for name, row in found.items()
  ]
  head = ["steps x vectors", "ms", f"times as fast as {VECTORS} x 1"]
  return markdown.table(head, rows)


if __name__ == "__main__":
  main()
