"""The rest of a session as positives, in place of the next item alone.

  python benchmarks/claims/reproduce.py --log=mini --rows=relaxation \
    --workdir=runs/claims

The paper trains in this way (intra-feed relaxation), but gives no figure
without it. On MovieLens and in the synthetic world, a session is events at most
half an hour apart.

Two models per seed. On one core of a shared x86-64 machine they take 3 minutes
on mini and synthetic, 13 on pure and 48 on ml_1m.

Expect with three seeds:

* recall@10: session vs. next item (paper: not reported): mini −3.6 % (−7.7 to
  +0.8) ≈
* recall@100: session vs. next item (paper: not reported): mini −0.5 % (−1.6 to
  +0.6) ≈
"""

import logs
import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  return suite.Row(
    "The rest of a session as positives",
    "A model that may predict any item of the session finds more than one that "
    "must predict the next item.",
    {
      "next item": suite.Arm(),
      "session": suite.Arm(logs.FAMILY["MODELS"]["session_oc"]),
    },
    ("recall@10", "unordered_recall@10", "recall@100"),
    (
      suite.Test("session", "next item", "recall@10", ours=True),
      suite.Test("session", "next item", "recall@100", ours=True),
    ),
  )
