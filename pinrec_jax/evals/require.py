"""What a log must have for what is asked of it; told before any work."""

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import splits
from pinrec_jax.decode import budget as budget_lib


def lists(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  *,
  candidates: int = 0,
) -> None:
  """Raises ValueError on lists longer than what they are made of.

  Args:
    config: of the evaluation.
    dataset: the log.
    candidates: of the answer to a request; 0 if none is to be made.
  """
  candidate, cutoffs = dataset.items.candidate, config.evals.cutoffs
  longest = max(*cutoffs, candidates)
  if longest > candidate.sum():
    raise ValueError(
      f"config.evals.cutoffs and decode.candidates ask for {longest} of a "
      f"catalogue of {candidate.sum()} items; ask for fewer"
    )
  if dataset.withheld is None:
    return
  held_back = (candidate & dataset.withheld).sum()
  if max(cutoffs) > held_back:
    raise ValueError(
      f"config.data.withheld is {config.data.withheld} and holds back "
      f"{held_back} items that may be recommended; withhold more, or ask for "
      f"lists of fewer than {max(cutoffs)} by evals.cutoffs"
    )


def steps(config: config_lib.Config, dataset: dataset_lib.Dataset) -> None:
  """Raises ValueError on more vectors than `run.unordered` can take steps."""
  decode, vocabulary = config.decode, dataset.vocabulary
  budget = (
    budget_lib.parse(decode.budget, vocabulary)
    if decode.budget
    else budget_lib.from_shares(splits.outcome_share(dataset), vocabulary)
  )
  vectors = len(budget) * max(len(decode.offsets), 1) * decode.steps
  if vectors >= config.data.length:
    raise ValueError(
      f"config.evals.twin is True: the twin would take {vectors} steps, one a "
      f"vector, and data.length is {config.data.length}; use False, or ask for "
      "fewer by decode.budget, decode.offsets and decode.steps"
    )
