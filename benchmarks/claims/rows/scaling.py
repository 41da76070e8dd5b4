"""Width and depth of the dense part.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/scaling.py:mini

The transformer's; the items' tables stay as they are.

Four models a seed, on one core of a shared x86-64 machine in 5 minutes on mini,
5 on synthetic, 26 on pure and 30 on ml_1m.

Expect of three seeds:

* recall@10 of width 128, 2 layers, over width 32, 1 layers (the paper's: +2.2
  %): synthetic +0.5 ± 0.8 % ≈; mini −1.4 ± 2.7 % ≈; pure +1.4 ± 1.4 % ≈; ml_1m
  +27.3 ± 3.2 % ✓

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  sizes = ((32, 1), (64, 2), (128, 2), (128, 4))
  arms = {
    f"width {width}, {layers} layers": suite.Arm(
      {
        "model.head": "mlp",
        "model.hidden_dim": width,
        "model.num_layers": layers,
      }
    )
    for width, layers in sizes
  }
  return suite.Row(
    "A larger backbone finds more (paper: +2.2 % from 100 M to 1 B "
    "parameters).",
    arms,
    ("recall@10", "recall@100", "parameters"),
    (
      suite.Test(
        "width 128, 2 layers", "width 32, 1 layers", "recall@10", 0.022
      ),
    ),
  )  # fmt: skip


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/scaling")
