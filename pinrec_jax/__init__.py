"""Outcome-conditioned, multi-token generative retrieval in JAX (PinRec).

A causal transformer reads a user's history and generates unit-norm item
embeddings, one per outcome and step. A budget splits the candidates over the
outcomes, and an index finds the items (arXiv 2504.10507).

  import pathlib
  import pinrec_jax

  config = pinrec_jax.read_config("configs/demo.py")
  workdir = pathlib.Path("runs/demo")
  pinrec_jax.train(config, workdir)
  pinrec_jax.build_index(config, workdir)
  retriever = pinrec_jax.Retriever.load(workdir)
  request = {"user": "me", "events": [{"item": 4214}]}
  for answer in retriever.retrieve([request], budget={"is_click": 1.0}):
    print(answer["candidates"])

Everything that is not named in `__all__` may change between versions.

The package is built in floors. An import points only downwards, and rooms of a
floor from 1 to 5 never import each other:

  7  main, cli
  6  workflows, update, indexing, opening, twin, doctor, terminal
  5  training, serve, batch_retrieval
  4  evals
  3  inference
  2  losses, decode, index
  1  model
  0  data, buckets, reports, config, config_data, config_deployment,
     config_files, validation, sharding, processes, compilation_cache, chunking,
     files, markdown, pace, types

Notation (the paper's symbol, the name in the code, its meaning):

  H(u, t)    history       events of a user, oldest first
  i, a, s, t item, actions, surface, time (unix seconds) of an event
  h_{u,t}    state         output of the backbone at a history position
  c_1..c_k   condition     outcome, surface, item type and so on of a request
  e_delta    offset        learned vector of a bucket of time ahead
  O(h, c)    head          from a state and a condition to a query
  i^         query         predicted unit-norm vector in the item space
  lambda     1 / temperature
  Q(i)       log_expected  log of how often an item is expected as a negative
  B          budget        share of the candidates for each outcome

Axis letters in every shape annotation:

  b batch · l history position · s cache slot, or seen item · d item vector ·
  w backbone · h heads · k head width, or neighbours · f input features ·
  g slots of categorical features · n scored items · m time offsets ·
  o outcomes · t decode steps · q queries · v rows of a table · c candidates ·
  a actions · x hash tables · p periods · u unknown items · r rows of a chunk
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # The type checker's view of what __getattr__ imports.
  from pinrec_jax.config import Config
  from pinrec_jax.config_files import read_config
  from pinrec_jax.inference.engine import Retriever
  from pinrec_jax.workflows import build_index, evaluate, prepare, train

__version__ = "0.1.0"
__all__ = [
  "Config",
  "Retriever",
  "build_index",
  "evaluate",
  "prepare",
  "read_config",
  "train",
]

_HOME = {
  "Config": "config",
  "Retriever": "inference.engine",
  "read_config": "config_files",
}


def __getattr__(name: str) -> Any:
  """Imports a public name when it is first used; JAX takes long to import."""
  if name not in __all__:
    raise AttributeError(f"module 'pinrec_jax' has no attribute {name!r}")
  import importlib

  module = importlib.import_module(f"pinrec_jax.{_HOME.get(name, 'workflows')}")
  return getattr(module, name)
