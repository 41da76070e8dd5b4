"""The number of negatives, from the batch and from the catalog.

  python benchmarks/claims/reproduce.py --log=mini --rows=negatives \
    --workdir=runs/claims

Negatives are sampled here. Most other rows of pure and ml_1m use a full
softmax.

Six models per seed. On one core of a shared x86-64 machine they take 8 minutes
on mini and synthetic, 39 on pure and 30 on ml_1m.

Expect with three seeds:

* recall@10: 96 in-batch vs. 64 in-batch (paper: +4.2 %): synthetic +1.8 ± 2.6
  % ≈; mini +3.4 ± 1.3 % ≈; pure +0.9 ± 1.1 % ≈; ml_1m +4.0 ± 1.6 % ≈
* recall@10: 128 in-batch vs. 64 in-batch (paper: +8.4 %): synthetic +21.0 ±
  40.1 % ≈; mini +2.8 ± 4.7 % ≈; pure +2.8 ± 0.7 % ○; ml_1m +5.4 ± 0.6 % ✓
* recall@10: 768 in-batch vs. 64 in-batch (paper: +18.3 %): synthetic +282 ±
  7.4 % ⇑; mini +10.8 ± 4.3 % ≈; pure +6.2 ± 0.9 % ○; ml_1m +14.3 ± 1.8 % ✓
* recall@10: 2048 uniform vs. 1024 uniform (paper: +2.5 %): synthetic −0.1 ±
  0.6 % ≈; mini −1.9 ± 1.0 % ≈; pure +0.3 ± 0.6 % ≈; ml_1m +0.1 ± 2.5 % ≈
"""

import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  sampled = {"loss.full_softmax": False}
  arms = {
    f"{n} in-batch": suite.Arm({**sampled, "loss.in_batch_negatives": n})
    for n in (64, 96, 128, 768)
  }
  arms |= {
    f"{n} uniform": suite.Arm({**sampled, "loss.uniform_negatives": n})
    for n in (1024, 2048)
  }
  return suite.Row(
    "The number of negatives",
    "More negatives find more (paper: in-batch x1.5 +4.2 %, x2 +8.4 %, x12 "
    "+18.3 %; uniform x2 +2.5 %). The in-batch arms have 256 uniform negatives "
    "each, the uniform arms 768 in-batch negatives each.",
    arms,
    ("recall@10", "recall@100"),
    (
      suite.Test("96 in-batch", "64 in-batch", "recall@10", 0.042),
      suite.Test("128 in-batch", "64 in-batch", "recall@10", 0.084),
      suite.Test("768 in-batch", "64 in-batch", "recall@10", 0.183),
      suite.Test("2048 uniform", "1024 uniform", "recall@10", 0.025),
    ),
  )
