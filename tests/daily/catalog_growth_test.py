"""A run whose item table changes after the training."""

import numpy as np
import pytest

from pinrec_jax import opening, workflows
from pinrec_jax.inference import bundle
from pinrec_jax.training import runs


@pytest.fixture
def trained(shop, tmp_path):
  """Returns the work folder of a finished run."""
  workflows.train(shop.config(), tmp_path / "run")
  return tmp_path / "run"


def test_a_newer_item_table_becomes_a_bundle(shop, trained):
  config = shop.config()
  workflows.build_index(config, trained)
  before = bundle.load(trained)
  # Item 0 is gone, four items are new, and one of their kinds is new. The
  # first row has another kind, so every code of a fresh preparation differs.
  shop.items(28, without=(0,), kinds=4)
  report, _ = workflows.build_index(config, trained)
  after = bundle.load(trained)
  assert report.index_items == 27
  assert report.bundle != before.provenance.version
  names = after.catalog.values["kind"]
  assert names == before.catalog.values["kind"]
  row_of = after.catalog.row_of
  assert not after.catalog.items.candidate[row_of["0"]]  # It is in histories.
  assert after.catalog.items.candidate[row_of["27"]]
  codes = after.catalog.items.categorical
  assert names[codes[row_of["25"], 0] - 1] == "kind 1"
  assert codes[row_of["27"], 0] == 0  # "kind 3" was never seen.
  # An item whose features are the same keeps its vector.
  old = before.vectors[before.catalog.row_of["1"]]
  np.testing.assert_allclose(after.vectors[row_of["1"]], old, atol=1e-5)
  workflows.evaluate(config, trained)


def test_a_resumed_run_keeps_its_names(shop, trained):
  written = (trained / runs.NAMES).read_text()
  shop.items(28, kinds=4)
  config = shop.config(**{"train.steps": 6})
  report = workflows.train(config, trained)
  assert report.last_step == 6
  assert (trained / runs.NAMES).read_text() == written


def test_a_run_from_other_weights_has_their_names(shop, trained, tmp_path):
  shop.items(28, kinds=4)
  config = shop.config(**{"train.init_from": str(trained)})
  report = workflows.train(config, tmp_path / "next")
  assert report.inherited_step
  other = runs.names(config, tmp_path / "next")
  assert other
  assert other == runs.names(shop.config(), trained)
  _, dataset = opening.load(config, tmp_path / "next")
  assert len(dataset.items.ids) == 29


def test_a_table_that_means_something_else_is_refused(shop, trained):
  config = shop.config(**{"data.custom.column_types": ""})
  with pytest.raises(ValueError, match="the log has 'price' among the categ"):
    workflows.build_index(config, trained)
