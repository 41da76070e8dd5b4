"""Gains of a row's arms over one of them, with 95 % intervals over users.

  python benchmarks/claims/users.py --log=pure --row=family --baseline=uc \
    --workdir=runs/claims-pure --output=results/users_pure.json \
    --config.data.source=FOLDER

The models are those that reproduce.py trained in WORKDIR, with the same flags;
arms without a model are left out. reproduce.py tests a gain over seeds. An
interval here is a paired bootstrap over users, so it exists for one seed, too.
The hits of several seeds are added up.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import reproduce
import rows
import suite as suite_lib
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax import files, markdown, opening, workflows
from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import bootstrap, metrics, retrieve

K = 10  # Length of a list.
GAIN = "{gain:+.1%} ({low:+.1%} to {high:+.1%})"

Hits = Int[np.ndarray, "u"]  # Targets of each user that a list of K holds.


def main(arguments: list[str]) -> None:
  """Compares the arms of a row that have a model."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--log", choices=list(reproduce.logs.LOGS), required=True)
  parser.add_argument("--row", required=True)
  parser.add_argument("--baseline", required=True)
  parser.add_argument("--seeds", type=int, default=1)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args(arguments)
  try:
    base = reproduce.base_of(options.log, rest)
    suite = rows.suite_of(options.log, base, [options.row], options.seeds)
    found = of_row(suite, options.row, options.workdir)
    gains = over(found, options.baseline)
  except (OSError, ValueError) as error:
    sys.exit(f"error: {error}")
  content = {"log": options.log, "row": options.row, "flags": rest}
  files.write_json(
    options.output, {**content, "seeds": options.seeds, "gains": gains}
  )
  print(
    markdown.table(
      ["arm", f"recall@{K}", f"gain over {options.baseline}"],
      [
        [arm, f"{own['recall']:.4f}", GAIN.format(**own)]
        for arm, own in gains.items()
      ],
    )
  )


def of_row(
  suite: suite_lib.Suite, name: str, workdir: pathlib.Path
) -> dict[str, tuple[Hits, int]]:
  """Returns the hits of each user and the number of targets, by arm.

  Both are sums over seeds. An arm without a trained model is left out.
  """
  found = {}
  for arm, own in suite.rows[name].arms.items():
    key = suite_lib.model_key(suite.base, own)
    config = suite_lib.evaluated(suite.base, own, arm)
    folders = [
      reproduce.folder_of(workdir, key, seed) for seed in range(suite.seeds)
    ]
    if all((path / reproduce.TRAINED).is_file() for path in folders):
      each = [
        _hits(config_lib.replace(config, **{"train.seed": seed}), path)
        for seed, path in enumerate(folders)
      ]
      found[arm] = sum(hits for hits, _ in each), sum(n for _, n in each)
  return found


def _hits(config: config_lib.Config, folder: pathlib.Path) -> tuple[Hits, int]:
  """Returns the hits of each test user, and the number of targets."""
  config, dataset = opening.load(config)
  found = workflows.retriever(config, folder, dataset)
  cases = evaluation_cases.cases(dataset, "test")
  lists = retrieve.retrieve(
    found,
    cases,
    found.reader.defaults().ask,
    size=K,
    batch_size=config.evals.batch_size,
    quiet=True,
  )
  targets = metrics.targets(cases)
  hit = metrics.found(lists.items, targets, K)
  return np.bincount(targets.user[hit], minlength=len(cases)), len(hit)


def over(
  found: Mapping[str, tuple[Hits, int]], baseline: str
) -> dict[str, dict[str, Any]]:
  """Returns recall, and the gain over the baseline with its interval, by arm.

  Raises:
    ValueError: if the baseline has no model or no hit.
  """
  if baseline not in found or not found[baseline][0].any():
    raise ValueError(
      f"the baseline {baseline!r} has no trained model, or finds nothing; use "
      f"one of {', '.join(found) or 'the arms that reproduce.py has trained'}"
    )
  against, _ = found[baseline]
  gains = {}
  for arm, (hits, targets) in found.items():
    # The ratio of two recalls over the same targets is that of their hits.
    low, high = bootstrap.intervals(hits[:, None], against[:, None])[:, 0] - 1
    gains[arm] = {
      "recall": float(hits.sum() / targets),
      "gain": float(hits.sum() / against.sum() - 1),
      "low": float(low),
      "high": float(high),
    }
  return gains


if __name__ == "__main__":
  main(sys.argv[1:])
