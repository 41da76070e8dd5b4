"""An evaluation over the whole catalog beside RecTools', by turns.

  bash launch/peers.sh
  python benchmarks/evaluation.py --output=results/evaluation.json

The work is that of MovieLens 1M: 6,040 users, 3,706 items, the network of unit
T1 (peers/work.py); histories all of 200 events, and then as long as there. A
turn goes from the log to recall@10, recall@200 and NDCG@10 of all users, whose
lists of 200 leave out what they have seen. Both programs read 256 users at a
time.
"""

import argparse
import pathlib
import sys

import contest
import record
import work  # of peers

OWN = "pinrec_jax"


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--users", type=int, default=6040)
  parser.add_argument("--venvs", type=pathlib.Path, default=contest.VENVS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  every = {}
  for lengths in work.LENGTHS:
    flags = [f"--users={options.users}", f"--lengths={lengths}"]
    programs = {
      OWN: contest.Program("pinrec_evaluation.py", flags),
      "RecTools": contest.Program("rectools_evaluation.py", flags, "rectools"),
    }
    seconds = contest.hold(programs, options.rounds, options.venvs)
    every[lengths] = found = contest.compared(seconds, OWN)
    for row in found.values():
      row["users_per_s"] = options.users / row["seconds"]
    print(f"\nhistories: {lengths}")
    contest.table(found, OWN)
  record.write(
    options.output, sys.argv[1:], users=options.users, histories=every
  )


if __name__ == "__main__":
  main()
