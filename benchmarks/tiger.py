"""TIGER on a log: it generates the codes of items, not vectors.

  python benchmarks/tiger.py --config=configs/demo.py --steps=N --seeds=3 \
    --output=results/tiger_mini.json [--source=FOLDER] [--split=validation]

Rajput et al., arXiv 2305.05065. An item is a semantic id: three codes of a
residual k-means of its content, and a fourth that tells items with equal codes
apart. The transformer of this package reads the codes of a history. It predicts
those of the next item, and a beam search finds the items. Unlike in the paper,
it is a decoder alone, of the sizes that the configuration gives to PinRec, and
the content vectors come from the log's features instead of a language model.

With --split=validation, the model is trained on what lies before the
validation, and is evaluated after each --every updates. This is how --steps is
chosen.
"""

import argparse
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import record
import repeats
import semantic_ids
import tiger_model
import tqdm
from jaxtyping import Bool, Int

from pinrec_jax import config as config_lib
from pinrec_jax import config_files
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, histories, splits, statistics
from pinrec_jax.evals import evaluate

BEAMS = 150  # More than a list and the items that are left out of it.
USERS = 16  # Searched for together.
SHAPE = 64  # Rows of a search are a multiple of this long.


def train(
  model: tiger_model.Tiger,
  rows: tiger_model.Rows,
  config: config_lib.Train,
  seed: int,
  every: int,
) -> Iterator[tuple[int, Any]]:
  """Yields the number of updates and the parameters, now and then.

  That is each `every` updates, and after the last one.
  """
  shuffle, key = np.random.default_rng(seed), jax.random.key(seed)
  params = model.init(key, *(column[:1] for column in rows))
  rate = optax.warmup_cosine_decay_schedule(
    0, config.learning_rate, max(config.steps // 20, 1), config.steps
  )
  optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

  @jax.jit
  def update(params: Any, state: Any, batch: Any, rng: Any) -> Any:
    gradient = jax.grad(lambda own: tiger_model.loss(model, own, batch, rng))(
      params
    )
    changes, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, changes), state

  state, order = optimizer.init(params), np.zeros(0, int)
  for step in tqdm.trange(1, config.steps + 1, desc="training"):
    while len(order) < config.batch_size:
      order = np.append(order, shuffle.permutation(len(rows.token)))
    chosen, order = np.split(order, [config.batch_size])
    batch = tiger_model.Rows(*(column[chosen] for column in rows))
    params, state = update(params, state, batch, jax.random.fold_in(key, step))
    if step % every == 0 or step == config.steps:
      yield step, params


def lists(
  model: tiger_model.Tiger,
  params: Any,
  ids: semantic_ids.SemanticIds,
  cases: Sequence[evaluation_cases.Case],
  candidates: Bool[np.ndarray, "v"],
  size: int,
) -> Int[np.ndarray, "b c"]:
  """Returns a list for each user, without the items engaged with before."""
  longest = (model.length - len(ids.sizes)) // len(ids.sizes)
  rows = [
    tiger_model.tokens_of(
      histories.visible(case.past, "engagements").item[-longest:], ids
    )
    for case in cases
  ]
  order = np.argsort([len(row) for row in rows], kind="stable")
  found = np.full((len(cases), size), -1)
  children = tuple(map(jnp.asarray, semantic_ids.among(ids, candidates)))
  for some in tqdm.tqdm(np.split(order, range(USERS, len(order), USERS))):
    own = [rows[user] for user in some]
    own += own[-1:] * (USERS - len(own))
    length = -(-max(map(len, own)) // SHAPE) * SHAPE
    node, score = jax.device_get(
      tiger_model.search(
        model, params, children, tiger_model.at_ends(own, length), beams=BEAMS
      )
    )
    real = slice(len(some))  # Not the copies that fill the batch.
    for user, items, points in zip(some, node[real], score[real], strict=True):
      kept = items[np.isfinite(points)]
      kept = kept[~np.isin(kept, cases[user].past.seen("engagements"))][:size]
      found[user, : len(kept)] = kept
  return found


def main() -> None:
  """Trains every seed and writes the figures, or prints those of validation."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", required=True)
  parser.add_argument("--source", default="")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--steps", type=int, required=True)
  parser.add_argument("--batch_size", type=int, default=16)
  parser.add_argument("--every", type=int, default=0)
  parser.add_argument("--split", choices=splits.SPLITS, default="test")
  parser.add_argument("--output", type=pathlib.Path)
  options = parser.parse_args()
  if options.output and options.every:
    parser.error("--every is for choosing --steps; leave out --output")
  config = config_files.read_config(options.config)
  config.data.source = options.source
  config.train.steps = options.steps
  config.train.batch_size = options.batch_size
  dataset = dataset_lib.load(config.data)
  measured = [
    figures
    for seed in range(options.seeds)
    for figures in of_seed(config, dataset, options.split, seed, options.every)
  ]
  if options.output:
    summary = repeats.summary(measured)
    record.write(options.output, sys.argv[1:], figures=summary)


def of_seed(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  split: str,
  seed: int,
  every: int,
) -> Iterator[evaluate.Figures]:
  """Trains one model; yields and prints its figures on the users of a split."""
  names, began = dataset.vocabulary, time.monotonic()
  ids = semantic_ids.of_items(dataset.items, names.features, seed)
  length, levels = config.data.sequence_length, len(ids.sizes)
  pieces = []
  for events in dataset.events:
    past = splits.past(names, events, split)
    items = histories.visible(past, "engagements").item
    ends = range(len(items), 0, -length)
    pieces += [
      tiger_model.tokens_of(items[max(n - length, 0) : n], ids) for n in ends
    ]
  longest = (length + 1) * levels
  rows = tiger_model.in_rows(pieces, longest, seed)
  model = tiger_model.Tiger(ids.sizes, longest, config.model)
  limit = 500 if split == "validation" else 0
  cases = evaluation_cases.cases(dataset, split, limit=limit)
  groups = statistics.item_groups(dataset, split)
  candidates = dataset.items.candidate
  cutoffs, outcomes = config.evals.cutoffs, names.outcome_names
  every = every or config.train.steps
  for step, params in train(model, rows, config.train, seed, every):
    seconds = time.monotonic() - began
    found = lists(model, params, ids, cases, candidates, max(cutoffs))
    own = evaluate.of_lists(found, cases, outcomes, cutoffs, groups).figures
    own |= {"seconds": seconds, "steps": step}
    shown = ", ".join(f"recall@{k} {own[f'recall@{k}']:.4f}" for k in cutoffs)
    print(f"seed {seed}, {step} updates: {shown}", flush=True)
    yield own


if __name__ == "__main__":
  main()
