"""A training step, compared with other libraries.

  bash launch/peers.sh
  python benchmarks/training.py --output=results/training.json

The sizes are those of MovieLens 1M: 128 full histories of 200 events, 3,706
items and two blocks; peers/work.py has the units. RecTools and RePlay run their
own models. The PyTorch program is this project's network, written again. One of
the programs splits the CPU into two devices, which share the batch.
"""

import argparse
import pathlib
import sys

import machine
import programs
import record
import timing
from peers import work

PEERS = {
  "T1": {"RecTools": "rectools", "PyTorch": "torch"},
  "T3": {"RePlay": "replay", "PyTorch": "torch"},
  "T4": {"PyTorch": "torch", "PyTorch, compiled": "torch"},
}
VENVS = {"rectools": "rectools", "replay": "replay", "torch": "rectools"}
OWN, SPLIT = "pinrec_jax", "pinrec_jax, two devices"


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--units", default=",".join(PEERS))
  parser.add_argument("--venvs", type=pathlib.Path, default=programs.VENVS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  tokens = work.BATCH * work.LENGTH
  machine_rates, found = machine.rates(), {}
  print(machine.facts(), machine_rates)
  for name in options.units.split(","):
    flags = [f"--unit={name}"]
    compared = {
      OWN: programs.Program("pinrec_training", flags),
      SPLIT: programs.Program("pinrec_training", [*flags, "--devices=2"]),
    }
    for peer, script in PEERS[name].items():
      own = [*flags, "--compile"] if "compiled" in peer else flags
      compared[peer] = programs.Program(
        f"{script}_training", own, VENVS[script]
      )
    seconds = programs.run(compared, options.rounds, options.venvs)
    found[name] = timing.compared(seconds, OWN)
    for row in found[name].values():
      row["tokens_per_s"] = tokens / row["seconds"]
    print(f"\n{name}: {work.UNITS[name]}\n\n{programs.table(found[name], OWN)}")
  record.write(options.output, sys.argv[1:], rates=machine_rates, units=found)


if __name__ == "__main__":
  main()
