"""Width and depth of the transformer.

  python benchmarks/claims/reproduce.py --log=mini --rows=scaling \
    --workdir=runs/claims

Embedding size and hash tables stay the same.

Four models per seed. On one core of a shared x86-64 machine they take 5 minutes
on mini and synthetic, 26 on pure and 30 on ml_1m.

Expect with three seeds:

* recall@10: 2 layers of width 128 vs. 1 layer of width 32 (paper: +2.2 %):
  synthetic +0.5 ± 0.8 % ≈; mini −1.4 ± 2.7 % ≈; pure +1.4 ± 1.4 % ≈; ml_1m
  +27.3 ± 3.2 % ⇑
"""

import suite

SIZES = ((32, 1), (64, 2), (128, 2), (128, 4))  # Width and number of layers.


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  arms = {
    f"{layers} layer{'s' * (layers > 1)} of width {width}": suite.Arm(
      {
        "model.head": "mlp",
        "model.hidden_dim": width,
        "model.num_layers": layers,
      }
    )
    for width, layers in SIZES
  }
  small, _, large, _ = arms
  return suite.Row(
    "Width and depth of the backbone",
    "A larger backbone finds more (paper: +2.2 % from 100 M to 1 B "
    "parameters).",
    arms,
    ("recall@10", "recall@100", "parameters"),
    (suite.Test(large, small, "recall@10", 0.022),),
  )
