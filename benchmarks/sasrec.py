"""Another library's SASRec under this project's protocol.

  bash launch/peers.sh
  python benchmarks/sasrec.py --config=configs/kuairand_pure.py \
    --source=FOLDER --seeds=3 --output=results/sasrec_kuairand_pure.json

Writes what a model may read before the test to a file, has RecTools train and
retrieve in its own environment, and scores the lists as every other, once with
what a user engaged with before left out, once (unshown_) with what they were
shown as well. Users it has no list for, for want of two engagements, get the
popular items.
"""

import argparse
import pathlib
import runpy
import subprocess
import sys
import tempfile

import numpy as np
import record
import repeats

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib, statistics
from pinrec_jax.data import evaluation_cases, histories, splits
from pinrec_jax.evals import retrieval
from pinrec_jax.evals import run as evals_run

PEER = pathlib.Path(__file__).parent / "peers" / "rectools_sasrec.py"
VENV = pathlib.Path("~/.cache/pinrec_jax/peers/rectools").expanduser()


def main() -> None:
  """Runs every seed and writes the figures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", required=True)
  parser.add_argument("--source", default="")
  parser.add_argument("--prepared", default=config_lib.Data().prepared_dir)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--epochs", type=int, default=8)
  parser.add_argument("--python", default=str(VENV / "bin" / "python"))
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  config = runpy.run_path(options.config)["get_config"]()
  config.data.source = options.source
  config.data.prepared_dir = options.prepared
  dataset = dataset_lib.load(config.data)
  cases = evaluation_cases.cases(dataset, "test")
  size, vocabulary = max(config.evals.cutoffs), dataset.vocabulary
  # So long that leaving out what a user was shown still fills a list.
  longest = size + max(len(case.past) for case in cases)
  popular = retrieval.popularity(
    dataset, cases, split="test", size=longest, drop_seen="engagements"
  )
  reports = []
  with tempfile.TemporaryDirectory() as folder:
    files = [str(pathlib.Path(folder, n)) for n in ("in.npz", "out.npz")]
    seen = [
      histories.visible(
        splits.past(vocabulary, events, "test"), "engagements"
      ).item
      for events in dataset.events
    ]
    place = {user: n for n, user in enumerate(dataset.users)}
    np.savez(
      files[0],
      user=np.repeat(np.arange(len(seen)), [len(items) for items in seen]),
      item=np.concatenate(seen),
      asked=np.array([place[case.user] for case in cases]),
    )
    for seed in range(options.seeds):
      flags = [f"--seed={seed}", f"--epochs={options.epochs}"]
      subprocess.run(
        [options.python, str(PEER), *files, *flags, f"--size={longest}"],
        check=True,
      )
      found = np.load(files[1])
      lists = np.where(found["lists"][:, :1] > 0, found["lists"], popular)
      report = {}
      for prefix, drop_seen in (("", "engagements"), ("unshown_", "exposures")):
        kept = [
          row[~np.isin(row, case.past.seen(drop_seen))][:size]
          for row, case in zip(lists, cases, strict=True)
        ]
        report |= evals_run.of_lists(
          np.stack(kept),
          cases,
          vocabulary,
          config.evals.cutoffs,
          prefix,
          items=statistics.item_groups(dataset, "test"),
        )
      report["seconds"] = float(found["seconds"])
      print(
        f"seed {seed}: recall@10 {report['recall@10']:.4f}, "
        f"{report['unshown_recall@10']:.4f} without what was shown"
      )
      reports.append(report)
  record.write(options.output, sys.argv[1:], figures=repeats.summary(reports))


if __name__ == "__main__":
  main()
