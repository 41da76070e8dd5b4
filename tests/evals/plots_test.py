import matplotlib.image
import numpy as np
import pytest
from matplotlib import pyplot as plt

from pinrec_jax.data import counts, statistics
from pinrec_jax.evals import plots

SWEEP = [
  {"budget/a": 1 - x, "budget/b": x, "rate/a": 0.02 - x / 100, "rate/b": x / 50}
  for x in (0, 0.5, 1.0)
]
RECALLS = {
  prefix + "recall@10" + group: 0.1
  for prefix in ("", "uc_")
  for group in ("", "/click", "/like")
}
LOSSES = [{"step": n, "loss": 8 / n} for n in (20, 40)]
VALIDATION = [{"step": 40, "validation/recall@10": 0.03}]

PROFILE = statistics.Profile(
  {"actions/click": 9, "actions/like": 3},
  {
    "length": counts.Counts(np.arange(9)),
    "gap": counts.Counts(np.array([0, 60, 86_400])),
  },
)
NOTHING = statistics.Profile({}, {"length": counts.Counts()})

ARMS = {
  name: {
    "recall@10": {"mean": mean, "spread": 0.001},
    "coverage": {"mean": 0.0, "spread": 0.0},  # nothing to set beside
  }
  for name, mean in (("UC", 0.1), ("OC", 0.12))
}


@pytest.mark.parametrize(
  "plot",
  [
    lambda path: plots.budget_sweep(SWEEP, path),
    lambda path: plots.budget_sweep(
      [{**row, "rate/a": 0.0, "rate/b": 0.0} for row in SWEEP], path
    ),
    lambda path: plots.recalls(
      RECALLS, {"": "OC", "uc_": "UC"}, ["click", "like"], 10, path
    ),
    lambda path: plots.training(LOSSES, path),
    lambda path: plots.training(LOSSES + VALIDATION, path),
    lambda path: plots.profile(PROFILE, path),
    lambda path: plots.profile(NOTHING, path),
    lambda path: plots.arms(ARMS, ("recall@10", "coverage"), path),
    lambda path: plots.gains(ARMS, ("recall@10", "coverage"), path),
    lambda path: plots.trade_off(ARMS, ("recall@10", "coverage"), path),
    # A run stopped before its first log line.
    lambda path: plots.training(VALIDATION, path),
  ],
  ids=[
    "sweep",
    "nothing acted on",
    "recalls",
    "losses",
    "training",
    "profile",
    "empty profile",
    "arms",
    "gains",
    "trade_off",
    "no loss",
  ],
)
def test_plot_is_drawn_and_closed(plot, tmp_path):
  path = tmp_path / "new" / "plot.png"
  plot(path)
  image = matplotlib.image.imread(path)
  assert image.shape[0] == 480
  assert image.shape[1] >= 960
  assert len(set(map(tuple, image.reshape(-1, image.shape[-1])))) > 3
  assert not plt.get_fignums()
