"""The number of negatives, from the batch and from the catalog.

  python benchmarks/claims/reproduce.py --log=mini --rows=negatives \
    --workdir=runs/claims

Negatives are sampled here. Most other rows of pure and ml_1m use a full
softmax.

Six models per seed. On one core of a shared x86-64 machine they take 8 minutes
on mini and synthetic, 39 on pure and 30 on ml_1m.
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
