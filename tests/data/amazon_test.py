import pathlib

import jax
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, schema, statistics
from pinrec_jax.model import item_embedder, pinrec
from pinrec_jax.training import optimizer
from pinrec_jax.training import state as state_lib

ITEMS = """\
item,asin,attributes,gram_text_id
1,A1,OPI|Makeup|Nails|,x
2,A2,,y
3,A3,Acme|Hair|,z
4,A4,Acme|Hair|Brushes|,z
"""


@pytest.fixture
def config(tmp_path):
  source = tmp_path / "beauty"
  source.mkdir()
  (source / "items.csv").write_text(ITEMS)
  (source / "sequential_data.txt").write_text("10 3 1 2\n9 2 3\n")
  return config_lib.Data(
    name="amazon/beauty",
    source=str(source),
    prepared_dir=str(tmp_path / "prepared"),
  )


def test_sequences_keep_their_order_without_times(config):
  dataset = dataset_lib.load(config)
  events = dict(zip(dataset.users, dataset.events, strict=True))
  assert dataset.items.ids[events["10"].item].tolist() == [3, 1, 2]
  assert dataset.items.ids[events["9"].item].tolist() == [2, 3]
  assert (events["10"].time == schema.UNKNOWN_TIME).all()
  assert events["10"].actions.tolist() == [[1], [1], [1]]
  # Nobody reviewed item 4.
  assert dataset.items.candidate.tolist() == [False, True, True, True, False]


def test_attributes_are_a_brand_and_categories(config):
  table = dataset_lib.load(config).items
  assert table.categorical[1:].tolist() == [
    [1, 1, 2], [0, 0, 0], [2, 3, 0], [2, 3, 4]
  ]  # fmt: skip


def test_products_have_titles(config):
  # Without a column of titles, the narrowest category and the brand are shown.
  titles = dataset_lib.load(config).catalog.titles
  assert titles is not None
  assert titles.to_pylist() == [
    "", "Nails, OPI", "", "Hair, Acme", "Brushes, Acme"
  ]  # fmt: skip
  path = pathlib.Path(config.source) / "items.csv"
  path.write_text("item,attributes,title\n" + "".join(
    f"{n},OPI|Makeup,Polish {n}\n" for n in range(1, 5)
  ))  # fmt: skip
  assert dataset_lib.load(config).catalog.title(2) == "Polish 2"


def test_last_review_is_tested_whatever_the_length(config):
  dataset = dataset_lib.load(config)
  (case,) = evaluation_cases.cases(dataset, "test")
  assert case.user == "10"
  assert dataset.items.ids[case.targets.item].tolist() == [2]
  np.testing.assert_array_equal(statistics.outcome_fractions(dataset), [1.0])


def test_items_without_numbers_are_embedded(config):
  dataset = dataset_lib.load(config)
  whole = config_lib.Config(data=config)
  model = pinrec.of_config(whole, dataset.vocabulary)
  params = state_lib.create(model, optimizer.build(whole.train)).params
  features = item_embedder.features(dataset.items, 2, whole.model.table_size)
  vectors = model.apply({"params": params}, features, method="embed")
  norms = np.linalg.norm(jax.device_get(vectors), axis=-1)
  np.testing.assert_allclose(norms, 1, rtol=1e-5)


def test_a_line_that_is_no_sequence_is_an_error(config):
  path = pathlib.Path(config.source) / "sequential_data.txt"
  path.write_text("10 3 one\n")
  with pytest.raises(ValueError, match=r"sequential_data\.txt is corrupt"):
    dataset_lib.load(config)


def test_an_item_without_a_row_is_named(config):
  path = pathlib.Path(config.source) / "sequential_data.txt"
  path.write_text("10 3 7\n")
  with pytest.raises(ValueError, match="item 7 of the log is not in the item"):
    dataset_lib.load(config)
