"""Users that training never saw.

  python benchmarks/claims/reproduce.py --log=mini --rows=unseen_users \
    --workdir=runs/claims

The paper tests on users that are not in the training data. On public logs, the
test users are those of the training. Here, one model is trained without a
quarter of the users, and both models are measured on this quarter.

Two models per seed. On one core of a shared x86-64 machine they take 3 minutes
on mini and synthetic, 13 on pure and 48 on ml_1m.

Expect with three seeds:

* recall@10/unseen_users: users are left out vs. users are trained on (paper:
  not reported): mini −17.2 % (−28.8 to −3.7) ≈
* recall@100/unseen_users: users are left out vs. users are trained on (paper:
  not reported): mini −10.7 % (−14.6 to −6.7) ✗
"""

import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  seen, unseen = "users are trained on", "users are left out"
  metrics = ("recall@10/unseen_users", "recall@100/unseen_users")
  return suite.Row(
    "Users that training left out",
    "For users without any event in training, the model finds as much as for "
    "users it was trained on (the paper measures such users alone).",
    {seen: suite.Arm(), unseen: suite.Arm(unseen_users=True)},
    metrics,
    tuple(suite.Test(unseen, seen, metric, ours=True) for metric in metrics),
  )
