import dataclasses
import pathlib
import subprocess
import sys
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
  (first.folder / store.MANIFEST).unlink()
  with pytest.raises(TypeError):
    dataset_lib.load(config)


@pytest.mark.parametrize(
  "name", ["events/item", "items.parquet", "rows.json", "digests.json"]
)
def test_a_damaged_log_is_prepared_again(config, name, capsys):
  first = dataset_lib.load(config)
  whole = [events.item.tolist() for events in first.events]
  path = first.folder / name
  changed = bytearray(path.read_bytes())
  changed[len(changed) // 2] ^= 64
  path.write_bytes(changed)
  capsys.readouterr()
  again = dataset_lib.load(config)
  assert [events.item.tolist() for events in again.events] == whole
  said = capsys.readouterr().err
  assert f"{path} is damaged" in said or name == "digests.json"
  assert f"preparing {config.name} in {first.folder}" in said
  dataset_lib.load(config)
  assert capsys.readouterr().err == ""


def test_a_killed_process_leaves_nothing_once_it_runs_again(config):
  folder = dataset_lib.load(config).folder
  (folder / store.MANIFEST).unlink()
  left = [
    folder.parent / f".{folder.name}-abc",
    folder.parent / f"{folder.name}.incompleteABC",
    folder / ".events-abc",
  ]
  for path in left:
    path.mkdir()
    (path / "half").write_text("")
  dataset_lib.load(config)
  assert not any(path.exists() for path in left)


def test_sigterm_ends_a_preparation_cleanly(tmp_path):
  """The process is stopped while it writes."""
  program = f"""
import os, signal
from pinrec_jax import config
from pinrec_jax.data import dataset, store
def stopped(*_):
  os.kill(os.getpid(), signal.SIGTERM)
  raise AssertionError("it went on")
store.Writer.add = stopped
dataset.load(config.Data(
  name="synthetic", prepared_dir={str(tmp_path)!r},
  synthetic_users=20))
"""
  done = subprocess.run([sys.executable, "-c", program], check=False)
  assert done.returncode == 143
  assert not list(tmp_path.rglob(".events*"))
  assert not list(tmp_path.rglob("*incomplete*"))


def test_a_home_folder_is_needed_only_where_it_is_named(
  config, monkeypatch, tmp_path
):
  monkeypatch.setenv("HOME", str(tmp_path))
  config.prepared_dir = "~/here"
  assert dataset_lib.load(config).folder.is_relative_to(tmp_path / "here")

  def no_home(path):
    raise RuntimeError("Could not determine home directory.")

  with monkeypatch.context() as patch:
    patch.setattr(pathlib.Path, "expanduser", no_home)
    with pytest.raises(
      ValueError, match=r"data\.source is .*set HOME, or give"
    ):
      dataset_lib.load(config)


def test_changed_source_is_prepared_anew(config):
  assert dataset_lib.load(config).users == ("7", "8", "9")
  path = f"{config.source}/history.parquet"
  past = pd.read_parquet(path)
  pd.concat([past, past.assign(user_id=10)]).to_parquet(path)
  assert dataset_lib.load(config).users == ("10", "7", "8", "9")


def test_the_aim_is_that_of_the_configuration(config):
  assert dataset_lib.load(config).aim == schema.EVERYTHING
  config.target_surface, config.target_outcomes = "tab_1", "long_view,is_like"
  dataset = dataset_lib.load(config)
  assert dataset.aim == schema.Aim(dataset.vocabulary.surface("tab_1"), (1, 2))
  config.target_outcomes = "is_bought"
  with pytest.raises(ValueError, match="unknown outcome 'is_bought'"):
    dataset_lib.load(config)


def test_runs_started_together_prepare_a_log_once(config):
  with futures.ThreadPoolExecutor(2) as pool:
    one, other = pool.map(dataset_lib.load, [config, config])
  assert one.users == other.users == ("7", "8", "9")
