"""Plots: drawn, closed, labelled, and with nothing outside or overlapping."""

import itertools

import matplotlib.image
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from pinrec_jax.data import counts, statistics
from pinrec_jax.evals import plots


def sweep(*names, rate=0.02):
  """Returns the rows of a sweep with one to four outcomes."""
  rows = []
  for x in np.linspace(0, 1, 9):
    row = {"recall": 0.2}
    for n, name in enumerate(names):
      own = rate * (1 + n * x)
      change = n * x if rate else float("nan")
      row |= {
        f"budget/{name}": 1 / len(names),
        f"rate/{name}": own,
        f"change/{name}": change,
        f"change/{name}:low": change - 0.1,
        f"change/{name}:high": change + 0.1,
      }
    rows.append(row)
  return rows


def frontier(*names, trades=1, change=0.1):
  """Returns the rows of a sweep along all names, and its working ranges."""
  rows, steering = [], {}
  for here, there in itertools.pairwise(names):
    for x in np.linspace(0, 1, 11).tolist()[bool(rows) :]:
      row = {f"budget/{name}": 0.0 for name in names}
      row |= {f"budget/{here}": 1 - x, f"budget/{there}": x}
      for n, name in enumerate(names):
        own = change * x * (-1) ** n
        row |= {f"change/{name}": own, f"change/{name}:low": own - 0.02}
        row[f"change/{name}:high"] = own + 0.02
      rows.append(row)
    key = f"working_range/{here}/{there}"
    steering |= {f"{key}:low": 0.2, f"{key}:high": 0.7, f"{key}:trades": trades}
  return rows, steering


def recalls(names, outcomes, height=0.1):
  """Returns the figures of several models."""
  return {
    name: {
      f"recall@10{group}{end}": height * factor
      for group in ("", *(f"/{outcome}" for outcome in outcomes))
      for end, factor in (("", 1.0), (":low", 0.8), (":high", 1.3))
    }
    for name in names
  }


LOSSES = [{"step": n, "loss": 8 / n} for n in (20, 40)]
VALIDATION = [{"step": 40, "validation/recall@10": 0.03}]
LOG = statistics.LogStatistics(
  {f"actions/a_rather_long_name_{n}": 10**n for n in range(8)},
  {
    "length": counts.Counts.of(np.arange(1, 90)),
    "gap": counts.Counts.of(np.array([0, 60, 86_400])),
    "session": counts.Counts.of(np.array([1, 1, 2])),
  },
)
NOTHING = statistics.LogStatistics(
  {}, {name: counts.Counts() for name in ("length", "gap", "session")}
)
LONG = ["is_profile_enter", "long_view", "is_comment_stay", "is_forward"]
MODELS = ["PinRec-OC", "PinRec-UC", "oracle time", "popularity"]

ODD = ["$buy_{$", "video:play", "_x", "$$", "<b>", "a$b$c"]
ODD_LOG = statistics.LogStatistics(
  {f"actions/{name}": 10 for name in ODD}, LOG.spreads
)

PLOTS = {
  "odd names, sweep": lambda path: plots.budget_sweep(sweep(*ODD[:4]), path),
  "odd names, recalls": lambda path: plots.recalls(
    recalls(MODELS, ODD), ODD, 10, path
  ),
  "odd names, log": lambda path: plots.statistics(ODD_LOG, path),
  "sweep": lambda path: plots.budget_sweep(sweep("a", "b"), path),
  "sweep of four": lambda path: plots.budget_sweep(sweep(*LONG), path),
  "nothing acted on": lambda path: plots.budget_sweep(
    sweep("a", "b", rate=0.0), path
  ),
  "frontier": lambda path: plots.frontier(*frontier("a", "b"), path),
  "odd names, frontier": lambda path: plots.frontier(*frontier(*ODD), path),
  "frontier of four": lambda path: plots.frontier(
    *frontier(*LONG, trades=0), path
  ),
  "frontier of nothing": lambda path: plots.frontier(
    *frontier("a", "b", change=float("nan")), path
  ),
  "recalls": lambda path: plots.recalls(
    recalls(MODELS, LONG), LONG, 10, path
  ),
  "one model": lambda path: plots.recalls(
    recalls(["PinRec-UC"], []), [], 10, path
  ),
  "no recall": lambda path: plots.recalls(
    recalls(MODELS, ["click"], float("nan")), ["click"], 10, path
  ),
  "losses": lambda path: plots.training(LOSSES, path),
  "training": lambda path: plots.training(LOSSES + VALIDATION, path),
  # A run that was stopped before its first log line.
  "no loss": lambda path: plots.training(VALIDATION, path),
  "no step": lambda path: plots.training([], path),
  "statistics": lambda path: plots.statistics(LOG, path),
  "empty statistics": lambda path: plots.statistics(NOTHING, path),
}  # fmt: skip


@pytest.fixture(params=PLOTS, scope="module")
def drawn(request, tmp_path_factory):
  """Draws a plot; returns its figure and its path."""
  figures = []
  save = plots._save

  def kept(figure, path):
    figures.append(figure)
    save(figure, path)

  path = tmp_path_factory.mktemp("plots") / "new" / "plot.png"
  with pytest.MonkeyPatch.context() as patched:
    patched.setattr(plots, "_save", kept)
    PLOTS[request.param](path)
  (figure,) = figures
  return figure, path


def test_a_plot_is_drawn_and_closed(drawn):
  _, path = drawn
  image = matplotlib.image.imread(path)
  assert image.shape[0] >= 480
  assert image.shape[1] >= 960
  assert len(set(map(tuple, image.reshape(-1, image.shape[-1])))) > 3
  assert not plt.get_fignums()


def test_odd_names_are_shown_as_they_are(tmp_path, monkeypatch):
  figures = []
  monkeypatch.setattr(plots, "_save", lambda figure, _: figures.append(figure))
  plots.budget_sweep(sweep(*ODD), tmp_path / "plot.png")
  shown = [text.get_text() for text in figures[0].legends[0].get_texts()]
  for name, label in zip(ODD, shown, strict=True):
    assert label.strip().replace(r"\$", "$").startswith(f"{name}, ")


def test_the_frontier_shows_which_budgets_are_in_the_working_range(
  tmp_path, monkeypatch
):
  figures = []
  monkeypatch.setattr(plots, "_save", lambda figure, _: figures.append(figure))
  plots.frontier(*frontier("a", "b", "c"), tmp_path / "plot.png")
  assert len(figures[0].axes) == 2
  for axes, name in zip(figures[0].axes, "bc", strict=True):
    assert axes.get_title().startswith(f"working range: 20 to 70 % {name}")
    points = {line.get_label(): line.get_xdata() for line in axes.get_lines()}
    assert len(points["working range"]) == 6
    assert len(points["other budgets"]) == 5


def test_axes_have_a_title_and_named_axes(drawn):
  figure, _ = drawn
  assert any(
    text for text in (figure.get_suptitle(), figure.axes[0].get_title())
  )
  for axes in figure.axes:
    if axes.get_title() == "Actions":
      assert axes.get_xlabel()
    elif axes.get_title() != "Nothing was logged":
      assert axes.get_ylabel()


def test_nothing_overlaps_or_leaves_the_frame(drawn):
  figure, _ = drawn
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  frame = figure.bbox
  hidden = [id(label) for axes in figure.axes for label in _hidden(axes)]
  texts = [
    text
    for text in figure.findobj(Text)
    if text.get_visible() and text.get_text().strip() and id(text) not in hidden
  ]
  boxes = {}
  for text in texts:
    box = text.get_window_extent(canvas.get_renderer())
    assert min(box.x0, box.y0) >= 0, text.get_text()
    assert box.x1 <= frame.x1, text.get_text()
    assert box.y1 <= frame.y1, text.get_text()
    boxes[text.get_text(), box.x0, box.y0] = box
  for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
    # Half a pixel of overlap is rounding.
    assert not a.padded(-1).overlaps(b.padded(-1)), (one[0], other[0])
  for legend in figure.legends:
    box = legend.get_window_extent(canvas.get_renderer())
    for axes in figure.axes:
      assert not box.padded(-1).overlaps(axes.bbox)


def _hidden(axes):
  """Returns the labels of ticks outside the limits, which are not drawn."""
  hidden = []
  for axis in (axes.xaxis, axes.yaxis):
    low, high = sorted(axis.get_view_interval())
    for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
      if not low <= tick.get_loc() <= high:
        hidden += [tick.label1, tick.label2]
  return hidden
