"""95 % intervals of gains, by paired bootstrap over users and seeds.

Users and seeds are resampled together, and both arms of a test share the
resamples. A gain is the ratio of two figures. Both are pooled over all users
and seeds.
"""

import functools
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import suite
from jaxtyping import Float, Int, Shaped

from pinrec_jax import files
from pinrec_jax.evals import bootstrap
from pinrec_jax.types import UserSums

USERS = "users"  # Name of the users' ids in a file; no metric has it.


class Bootstrap(NamedTuple):
  """A gain with its standard error.

  Attributes:
    gain: pooled figure of the arm divided by that of the baseline, minus 1.
    error: standard error of log(1 + gain), over users and seeds; over users
      alone if there is one seed.
    freedom: degrees of freedom of the error.
  """

  gain: float
  error: float
  freedom: float


def save(
  path: pathlib.Path, users: Sequence[str], sums: Mapping[str, UserSums]
) -> None:
  """Writes what each user adds to the figures of an evaluation.

  Args:
    path: of a compressed npz file. It has `users`, and `METRIC:found` and
      `METRIC:total` of each metric.
    users: ids of the users.
    sums: of each metric, one number per user.
  """
  columns = {
    f"{metric}:{name}": _small(values)
    for metric, own in sums.items()
    for name, values in own._asdict().items()
  }
  columns[USERS] = np.array(users)
  content = io.BytesIO()
  np.savez_compressed(content, allow_pickle=False, **columns)
  files.write(path, content.getvalue())


def _small(values: Shaped[np.ndarray, "b"]) -> Shaped[np.ndarray, "b"]:
  """Returns counts in the smallest type that holds them; fractions as given."""
  if values.dtype.kind == "f":
    return values
  return values.astype(np.min_scalar_type(int(values.max(initial=0))))


class _Arm(NamedTuple):
  """Values of one metric of an arm, over users, seeds, and found and total."""

  users: Shaped[np.ndarray, "b"]
  values: Float[np.ndarray, "b s 2"]


def _load(paths: Sequence[pathlib.Path], metric: str) -> _Arm | None:
  """Returns an arm's values; None if a seed lacks them.

  Raises:
    ValueError: if the seeds were evaluated on different users.
  """
  users, values = None, []
  for path in paths:
    if not path.is_file():
      return None
    with np.load(path) as content:
      if f"{metric}:found" not in content:
        return None
      _check(users, content[USERS], paths[0], path)
      users = content[USERS]
      values.append(
        np.stack([content[f"{metric}:{n}"] for n in UserSums._fields], -1)
      )
  if users is None:
    return None
  return _Arm(users, np.stack(values, 1).astype(np.float64))


def _check(
  users: Shaped[np.ndarray, "_"] | None,
  others: Shaped[np.ndarray, "_"],
  first: pathlib.Path,
  second: pathlib.Path,
) -> None:
  if users is not None and not np.array_equal(users, others):
    raise ValueError(
      f"{first} has {len(users)} users, and {second} has {len(others)} others "
      "or in another order, so their figures cannot be paired; compare arms "
      "with the same data.target_surface and data.target_outcomes, and delete "
      "the file that another version of the log has left"
    )


def of_row(
  paths: Mapping[str, Sequence[pathlib.Path]], tests: Sequence[suite.Test]
) -> list[Bootstrap | None]:
  """Returns the gain of every test of a row.

  A gain is None if an evaluation has no values per user of the metric, or if
  some resample has a sum of 0.

  Args:
    paths: files that `save` wrote for each arm, one per seed.
    tests: comparisons of two arms.

  Raises:
    ValueError: naming the files, if two arms have different users.
  """
  loaded: dict[tuple[str, str], _Arm] = {}
  for test in tests:
    for arm in (test.arm, test.baseline):
      own = _load(paths[arm], test.metric)
      if own:
        first, _ = next(iter(loaded), (arm, ""))
        known = next(iter(loaded.values()), own)
        _check(known.users, own.users, paths[first][0], paths[arm][0])
        loaded[arm, test.metric] = own
  if not loaded:
    return [None] * len(tests)
  values = np.stack([own.values for own in loaded.values()], 1)
  drawn = bootstrap.sums(values.reshape(len(values), -1))
  drawn = drawn.reshape(-1, *values.shape[1:])
  number = {key: n for n, key in enumerate(loaded)}
  found = []
  for test in tests:
    both = [(arm, test.metric) for arm in (test.arm, test.baseline)]
    if set(both) <= set(number):
      some = [number[key] for key in both]
      found.append(gain(values[:, some], drawn[:, some]))
    else:
      found.append(None)
  return found


def gain(
  values: Float[np.ndarray, "b 2 s 2"], drawn: Float[np.ndarray, "r 2 s 2"]
) -> Bootstrap | None:
  """Returns a gain; None if some resample has a sum of 0.

  The standard error is the standard deviation of log(1 + gain) over the
  resamples. A resample draws one seed less than there are, with replacement.
  Drawing all of them would make the variance of n seeds too small by the factor
  (n - 1) / n (McCarthy and Snowden 1985, the with-replacement bootstrap).

  Few seeds give an uncertain error. So its degrees of freedom are those of
  Satterthwaite: nearly those of the seeds (n - 1) if the seeds make most of the
  variance, and up to those of the users if the users do.

  Args:
    values: of each user: of the arm and the baseline, for each seed, found and
      total.
    drawn: sums of `values` over the users of each resample.
  """
  users, _, seeds, _ = values.shape
  whole, times = values.sum(0), _draws(seeds)
  by_both = np.einsum("rs,rpsc->rpc", times, drawn)
  by_seed = np.einsum("rs,psc->rpc", times, whole)
  if not (by_both.all() and by_seed.all()):
    return None
  error, freedom = float(_log_ratio(by_both).std()), users - 1.0
  of_seeds = float(_log_ratio(by_seed).std()) if seeds > 1 else 0.0
  error = max(error, of_seeds)
  if of_seeds:
    freedom = min(freedom, (seeds - 1) * (error / of_seeds) ** 4)
  return Bootstrap(float(np.expm1(_log_ratio(whole.sum(1)))), error, freedom)


@functools.cache
def _draws(seeds: int) -> Int[np.ndarray, "r s"]:
  """Returns how often each resample has each seed."""
  random = np.random.default_rng(seeds)
  return random.multinomial(
    max(seeds - 1, 1), np.full(seeds, 1 / seeds), size=bootstrap.RESAMPLES
  )


def _log_ratio(
  sums: Float[np.ndarray, "*r 2 2"],
) -> Float[np.ndarray, "*r"]:
  """Returns the log of the arm's figure over the baseline's."""
  figure = sums[..., 0] / sums[..., 1]
  return np.log(figure[..., 0] / figure[..., 1])
