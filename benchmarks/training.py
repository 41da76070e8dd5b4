"""A training step beside those of other libraries, by turns.

  bash launch/peers.sh
  python benchmarks/training.py --output=results/training.json

The work is that of MovieLens 1M: 128 full histories of 200 events, 3,706 items,
two blocks (peers/work.py has the units). RecTools and RePlay run their own
models; the PyTorch program is this project's network, written anew.
"""

import argparse
import pathlib
import sys

import contest
import record
import work  # of peers

AGAINST = {
  "T1": {"RecTools": "rectools", "PyTorch": "torch"},
  "T3": {"RePlay": "replay", "PyTorch": "torch"},
  "T4": {"PyTorch": "torch", "PyTorch, compiled": "torch"},
}
VENVS = {"rectools": "rectools", "replay": "replay", "torch": "rectools"}
OWN = "pinrec_jax"


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--units", default=",".join(AGAINST))
  parser.add_argument("--venvs", type=pathlib.Path, default=contest.VENVS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  tokens = work.BATCH * work.LENGTH
  found = {}
  for name in options.units.split(","):
    flags = [f"--unit={name}"]
    programs = {OWN: contest.Program("pinrec_training.py", flags)}
    for peer, script in AGAINST[name].items():
      own = [*flags, "--compile"] if "compiled" in peer else flags
      programs[peer] = contest.Program(
        f"{script}_training.py", own, VENVS[script]
      )
    seconds = contest.hold(programs, options.rounds, options.venvs)
    found[name] = contest.compared(seconds, OWN)
    for row in found[name].values():
      row["tokens_per_s"] = tokens / row["seconds"]
    print(f"\n{name}: {work.UNITS[name]}")
    contest.table(found[name], OWN)
  record.write(options.output, sys.argv[1:], units=found)


if __name__ == "__main__":
  main()
