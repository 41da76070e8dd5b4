"""The part of a history that the generated vectors are close to.

  python benchmarks/claims/reproduce.py --log=mini --rows=recency \
    --workdir=runs/claims

The models are those of the row multi_token.

Two models per seed. On one core of a shared x86-64 machine they take 3 minutes
on mini and synthetic, 13 on pure and 48 on ml_1m.

Three seeds measured the figures below, and two on pure.

* recency: MT 1 x 16 vs. OC 16 x 1 (paper: decrease): synthetic +13.4 % (+10.2
  to +16.6) ✗; mini +13.7 % (+3.6 to +24.8) ≈; pure +9.0 % (+4.7 to +13.5) ✗;
  ml_1m −4.5 ± 1.8 % ≈
* recency: MT at the farthest offset vs. MT at the nearest offset (paper:
  decrease): synthetic −10.0 % (−12.3 to −7.7) ✓; mini +4.6 % (+2.4 to +6.8) ✗;
  pure +1.0 % (+0.5 to +1.4) ✗; ml_1m −41.8 ± 1.2 % ✓
"""

import suite

from rows import multi_token


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  nearest, farthest = multi_token.NEAREST, multi_token.FARTHEST
  return suite.Row(
    "How recent the history events nearest to the vectors are",
    "Vectors for several times ahead also reflect older interests, and vectors "
    "of consecutive steps follow the latest one (the paper gives no number). "
    "Recency is the place in the history of the event nearest to a vector, "
    "from 0 (oldest) to 1 (latest).",
    multi_token.arms(log),
    ("recency",),
    (
      suite.Test(
        multi_token.EVERY, multi_token.SINGLE, "recency", decrease=True
      ),
      suite.Test(farthest, nearest, "recency", decrease=True),
    ),
  )
