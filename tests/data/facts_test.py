"""Published logs have the known figures; PINREC_DATA has the files."""

import os
import pathlib

import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import (
  evaluation_cases,
  row_errors,
  schema,
  splits,
  statistics,
)

# Reading a million events takes minutes where annotations are checked.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture
def load(tmp_path):
  """Returns a function that reads a log, or skips if it is not there."""

  def of_folder(name, folder):
    root = os.environ.get("PINREC_DATA")
    if not root:
      pytest.skip("PINREC_DATA names no folder of raw files")
    source = pathlib.Path(root).expanduser() / folder
    if not source.is_dir():
      pytest.skip(f"there is no folder {source}")
    prepared = str(tmp_path / "prepared")
    return dataset_lib.load(
      config_lib.Data(name=name, source=str(source), prepared_dir=prepared)
    )

  return of_folder


def counted(dataset):
  """Returns the figures, with the users and targets of each split."""
  figures = statistics.of_dataset(dataset, 1800).figures
  figures |= row_errors.load(dataset.folder).figures
  for split in splits.SPLITS:
    cases = evaluation_cases.cases(dataset, split)
    figures[f"{split}/users"] = len(cases)
    figures[f"{split}/targets"] = sum(len(case.targets) for case in cases)
  return figures


def hold(figures, expected):
  """Asserts that some of the figures are those expected."""
  assert {name: figures[name] for name in expected} == expected


def test_amazon_beauty(load):
  expected = {
    "users": 22_363,
    "items": 12_101,
    "items/candidates": 12_101,
    "events": 198_502,
    "events/engagements": 198_502,
    "events/undated": 198_502,
  }
  for split in splits.SPLITS:
    expected |= {f"{split}/users": 22_363, f"{split}/targets": 22_363}
  hold(counted(load("amazon/beauty", "amazon-beauty")), expected)


def test_movielens_1m(load):
  expected = {
    "users": 6_040,
    "items": 3_706,
    "items/candidates": 3_706,
    "events": 1_000_209,
    "events/engagements": 1_000_209,
    "actions/rating_5": 226_310,
    "actions/rating_4": 348_971,
    "actions/rating_3_or_less": 424_928,
    "session/count": 34_645,
  }
  for split in splits.SPLITS:
    expected |= {f"{split}/users": 6_040, f"{split}/targets": 6_040}
  hold(counted(load("movielens/1m", "ml-1m")), expected)


def test_movielens_1m_exact_times(load):
  expected = {"events": 1_000_209, "events/undated": 299_402}
  hold(counted(load("movielens/1m_exact_times", "ml-1m")), expected)


def test_kuairand_pure(load):
  expected = {
    "users": 27_077,
    "items": 7_583,
    "items/candidates": 6_361,
    # Of 228,329 impressions 5,460 are copies of another.
    "rows": 1_045_516,
    "rows/dropped/duplicate": 5_460,
    "events": 1_045_516 - 5_460,
    "events/undated": 1_045_516 - 228_329,
    "actions/is_click": 100_070,
    "actions/long_view": 70_522,
    "actions/is_profile_enter": 4_203,
    "surfaces/tab_1": 173_008,
    "surfaces/tab_4": 13_647,
    "validation/users": 5_996,
    "validation/targets": 9_399,
    "test/users": 17_052,
    "test/targets": 57_142,
  }
  dataset = load("kuairand/pure", "kuairand_pure")
  hold(counted(dataset), expected)
  dated = [
    (events.time != schema.UNKNOWN_TIME).any() for events in dataset.events
  ]
  assert sum(dated) == 25_156
