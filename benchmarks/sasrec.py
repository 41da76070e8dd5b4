"""SASRec of RecTools under this project's protocol.

  bash launch/peers.sh
  python benchmarks/sasrec.py --config=configs/kuairand_pure.py \
    --source=FOLDER --seeds=3 --output=results/sasrec_kuairand_pure.json

The events before the test are written to a file. RecTools trains and retrieves
in an environment of its own. Its lists are scored as all others. The plain
figures leave out the items that a user engaged with. The figures with the
prefix unshown_ leave out all items that a user was shown. RecTools has no list
for users with fewer than two engagements; they get the popular items.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
import record
import repeats
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax import config_files
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, histories, splits, statistics
from pinrec_jax.evals import evaluate, popularity

PEER = pathlib.Path(__file__).parent / "peers" / "rectools_sasrec.py"
VENV = pathlib.Path("~/.cache/pinrec_jax/peers/rectools").expanduser()


def main() -> None:
  """Runs every seed and writes the figures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", required=True)
  parser.add_argument("--source", default="")
  parser.add_argument("--prepared_dir", default=config_lib.Data().prepared_dir)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--epochs", type=int, default=8)
  parser.add_argument("--python", default=str(VENV / "bin" / "python"))
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  config = config_files.read_config(options.config)
  config.data.source = options.source
  config.data.prepared_dir = options.prepared_dir
  dataset = dataset_lib.load(config.data)
  cases = evaluation_cases.cases(dataset, "test")
  # Long enough to leave out all items that a user was shown.
  longest = max(config.evals.cutoffs) + max(len(case.past) for case in cases)
  popular = popularity.of_all(
    dataset, cases, split="test", size=longest, filter_seen="engagements"
  )
  figures = []
  with tempfile.TemporaryDirectory() as folder:
    files = [str(pathlib.Path(folder, n)) for n in ("in.npz", "out.npz")]
    write(dataset, cases, files[0])
    for seed in range(options.seeds):
      flags = [f"--seed={seed}", f"--epochs={options.epochs}"]
      subprocess.run(
        [options.python, str(PEER), *files, *flags, f"--size={longest}"],
        check=True,
      )
      found = np.load(files[1])
      lists = np.where(found["lists"][:, :1] > 0, found["lists"], popular)
      own = scores(config, dataset, cases, lists)
      own["seconds"] = float(found["seconds"])
      print(
        f"seed {seed}: recall@10 {own['recall@10']:.4f}, without shown items "
        f"{own['unshown_recall@10']:.4f}"
      )
      figures.append(own)
  record.write(options.output, sys.argv[1:], figures=repeats.summary(figures))


def write(
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  path: str,
) -> None:
  """Writes all engagements before the test, and the users to retrieve for."""
  past = [
    histories.visible(
      splits.past(dataset.vocabulary, events, "test"), "engagements"
    ).item
    for events in dataset.events
  ]
  number = {user: n for n, user in enumerate(dataset.users)}
  np.savez(
    path,
    user=np.repeat(np.arange(len(past)), [len(items) for items in past]),
    item=np.concatenate(past),
    test_users=np.array([number[case.user] for case in cases]),
  )


def scores(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  lists: Int[np.ndarray, "b c"],
) -> evaluate.Figures:
  """Returns the figures of lists, with both ways to leave out seen items."""
  cutoffs = config.evals.cutoffs
  outcomes = dataset.vocabulary.outcome_names
  groups = statistics.item_groups(dataset, "test")
  figures: evaluate.Figures = {}
  for prefix, kind in (("", "engagements"), ("unshown_", "exposures")):
    kept = [
      row[~np.isin(row, case.past.seen(kind))][: max(cutoffs)]
      for row, case in zip(lists, cases, strict=True)
    ]
    measured = evaluate.of_lists(
      np.stack(kept), cases, outcomes, cutoffs, groups
    )
    own = measured.figures
    figures |= {f"{prefix}{key}": value for key, value in own.items()}
  return figures


if __name__ == "__main__":
  main()
