"""This package's indexes, as --kind: scann, exact, or JAX's approx_max_k."""

import argparse
import functools

import jax
import jax.numpy as jnp
import numpy as np
from peers import searching

from pinrec_jax import config as config_lib
from pinrec_jax.index import build


def main() -> None:
  """Takes turns."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--kind", required=True)
  options, _ = parser.parse_known_args()
  if options.kind == "approx_max_k":
    searching.take(approx_max_k)
  else:
    searching.take(functools.partial(index, options.kind))


def index(kind: str, vectors: np.ndarray) -> searching.Built:
  """Returns the search of an index, which chooses its own effort."""
  config = config_lib.replace(config_lib.Index(), kind=kind)
  built = build.build(config, vectors)
  return lambda query: built.search(query, searching.K)[0], None


def approx_max_k(vectors: np.ndarray) -> searching.Built:
  """Returns a search that scores every item; on a CPU it is exact."""
  held = jnp.asarray(vectors)

  @jax.jit
  def nearest(held: jax.Array, query: jax.Array) -> jax.Array:
    scores = query @ held.T
    return jax.lax.approx_max_k(scores, searching.K, recall_target=0.99)[1]

  return lambda query: np.asarray(nearest(held, query)), None


if __name__ == "__main__":
  main()
