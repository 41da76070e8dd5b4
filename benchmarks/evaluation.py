"""Evaluation over the whole catalog, compared with RecTools.

  bash launch/peers.sh
  python benchmarks/evaluation.py --output=results/evaluation.json

The sizes are those of MovieLens 1M: 6,040 users, 3,706 items, and the network
of unit T1 (peers/work.py). Histories have 200 events each, or the lengths of
MovieLens. A round goes from the log to recall@10, recall@200 and NDCG@10 of all
users. Their lists of 200 leave out the items that they have seen. Both programs
read 256 users at a time.
"""

import argparse
import pathlib
import sys

import programs
import record
import timing
from peers import work

OWN = "pinrec_jax"


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--users", type=int, default=6040)
  parser.add_argument("--venvs", type=pathlib.Path, default=programs.VENVS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  every = {}
  for lengths in work.LENGTHS:
    flags = [f"--users={options.users}", f"--lengths={lengths}"]
    compared = {
      OWN: programs.Program("pinrec_evaluation", flags),
      "RecTools": programs.Program("rectools_evaluation", flags, "rectools"),
    }
    seconds = programs.run(compared, options.rounds, options.venvs)
    every[lengths] = found = timing.compared(seconds, OWN)
    for row in found.values():
      row["users_per_s"] = options.users / row["seconds"]
    print(f"\nhistories: {lengths}\n\n{programs.table(found, OWN)}")
  record.write(
    options.output, sys.argv[1:], users=options.users, histories=every
  )


if __name__ == "__main__":
  main()
