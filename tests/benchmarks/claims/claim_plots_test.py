"""Plots of a row are drawn and closed."""

import matplotlib.image
import matplotlib.pyplot as plt
import plots
import pytest

METRICS = ("recall@10/click", "recall@10/like")
ROW = {
  "arms": {
    name: {
      "recall@10/click": {"mean": mean, "std": 0.001},
      "recall@10/like": {"mean": None, "std": None},
    }
    for name, mean in (("UC", 0.1), ("click", 0.12), ("like", 0.08))
  },
  "verdicts": [
    {"arm": arm, "metric": metric, "gain": gain, "std": std}
    for arm in ("click", "like")
    for metric, gain, std in (
      (METRICS[0], 0.2, 0.1),
      (METRICS[1], None, None),
    )
  ],
}


@pytest.mark.parametrize("plot", [plots.arms, plots.matrix, plots.curve])
def test_a_plot_is_drawn_and_closed(plot, tmp_path):
  path = tmp_path / "new" / "plot.png"
  plot(ROW, METRICS, "Three arms", path)
  image = matplotlib.image.imread(path)
  assert image.shape[1] >= 900
  assert len(set(map(tuple, image.reshape(-1, image.shape[-1])))) > 3
  assert not plt.get_fignums()
