import dataclasses
import shutil
from concurrent import futures

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import records, schema, store


@pytest.fixture
def config(raw, tmp_path):
  return config_lib.Data(
    source=str(raw("mini")), prepared_dir=str(tmp_path / "prepared")
  )


@pytest.mark.parametrize("name", ["kuairandom", "kuairand", "kuairand/huge"])
def test_unknown_name_lists_the_known(config, name):
  config.name = name
  with pytest.raises(ValueError, match=rf"'{name}' is unknown.*kuairand"):
    dataset_lib.load(config)


def test_missing_source_folder_is_named(config):
  config.source += "/absent"
  with pytest.raises(FileNotFoundError, match=r"raw/mini/absent' is not a fol"):
    dataset_lib.load(config)


def test_log_is_prepared_once_and_read_alike(config, monkeypatch):
  first = dataset_lib.load(config)
  monkeypatch.setattr(pd, "read_csv", None)
  second = dataset_lib.load(config)
  assert first.users == second.users == ("7", "8", "9")
  assert first.folder == second.folder
  for one, other in zip(first.events, second.events, strict=True):
    for field in dataclasses.fields(one):
      was, now = getattr(one, field.name), getattr(other, field.name)
      assert was.dtype == now.dtype
      np.testing.assert_array_equal(was, now)


def test_a_log_once_read_opens_without_its_records(config, monkeypatch):
  first = dataset_lib.load(config)
  monkeypatch.setattr(records, "events", None)
  assert dataset_lib.load(config).users == first.users
  shutil.rmtree(first.folder / store.FOLDER)
  with pytest.raises(TypeError):
    dataset_lib.load(config)


def test_changed_source_is_prepared_anew(config):
  assert dataset_lib.load(config).users == ("7", "8", "9")
  path = f"{config.source}/history.parquet"
  past = pd.read_parquet(path)
  pd.concat([past, past.assign(user_id=10)]).to_parquet(path)
  assert dataset_lib.load(config).users == ("10", "7", "8", "9")


def test_the_aim_is_that_of_the_configuration(config):
  assert dataset_lib.load(config).aim == schema.EVERYTHING
  config.surface, config.outcomes = "tab_1", "long_view,is_like"
  dataset = dataset_lib.load(config)
  assert dataset.aim == schema.Aim(dataset.vocabulary.surface("tab_1"), (1, 2))
  config.outcomes = "is_bought"
  with pytest.raises(ValueError, match="unknown outcome 'is_bought'"):
    dataset_lib.load(config)


def test_runs_started_together_prepare_a_log_once(config):
  with futures.ThreadPoolExecutor(2) as pool:
    one, other = pool.map(dataset_lib.load, [config, config])
  assert one.users == other.users == ("7", "8", "9")
