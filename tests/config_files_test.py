"""Configurations are found, written and read again."""

import json

import pytest

import pinrec_jax
from pinrec_jax import config as config_lib
from pinrec_jax import config_files

MINE = """
from pinrec_jax import Config

def get_config(name="one"):
  config = Config()
  config.data.name = name
  return config
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
  """The folder of the package's own configurations, which holds one file."""
  folder = tmp_path / "package"
  folder.mkdir()
  (folder / "mine.py").write_text(MINE)
  (folder / "_hidden.py").write_text("")
  monkeypatch.setattr(config_files, "FOLDER", folder)
  return folder


def test_a_configuration_is_the_users_or_else_the_packages(
  tmp_path, package, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  assert pinrec_jax.read_config("configs/mine.py").data.name == "one"
  assert pinrec_jax.read_config("mine.py").data.name == "one"
  (tmp_path / "mine.py").write_text(MINE.replace("one", "own"))
  assert pinrec_jax.read_config("mine.py").data.name == "own"
  assert pinrec_jax.read_config("configs/mine.py").data.name == "one"
  assert pinrec_jax.read_config("mine.py", "two").data.name == "two"


def test_a_missing_configuration_lists_the_known_ones(package):
  with pytest.raises(
    FileNotFoundError, match=r"other.py.*choose from mine.py$"
  ):
    pinrec_jax.read_config("configs/other.py")


def test_the_packages_configurations_are_beside_it():
  assert pinrec_jax.read_config("configs/demo.py").train.steps == 400


def changed():
  """Returns a configuration with a changed field of every kind."""
  config = config_lib.Config()
  config.data.custom.actions = "click,é"
  config.model.dropout, config.model.scale_embeddings = 0.25, False
  config.model.offset_edges, config.evals.sweep = (), ("click", "save")
  config.train.steps = 7
  return config


@pytest.mark.parametrize("inference", [False, True])
def test_a_configuration_comes_back_as_it_was_written(inference):
  config = changed()
  if inference:
    config = config_lib.inference(config)
  text = config_files.to_json(config)
  again = config_files.from_json(type(config), text, "config.json")
  assert again == config
  assert hash(again.model) == hash(config.model)


def test_a_field_of_another_version_is_named():
  fields = json.loads(config_files.to_json(changed()))
  fields["train"]["pace"] = 3
  with pytest.raises(ValueError, match=r"x.json: config.train.pace is unknown"):
    config_files.from_json(config_lib.Config, json.dumps(fields), "x.json")


def test_some_fields_can_be_read_from_a_file_of_another_version():
  fields = json.loads(config_files.to_json(changed()))
  fields["train"]["pace"] = fields["data"]["sizes"] = {"items": 3}
  found = config_files.from_json(
    config_lib.Config, json.dumps(fields), "x.json", ["train.steps"]
  )
  assert found == config_lib.replace(config_lib.Config(), **{"train.steps": 7})


def test_a_field_that_is_left_out_has_its_default():
  found = config_files.from_json(
    config_lib.Config, '{"train": {"steps": 3}}', "x.json"
  )
  assert found.train.steps == 3
  assert found.train.batch_size == config_lib.Train().batch_size


def test_damaged_json_is_named():
  with pytest.raises(ValueError, match=r"x\.json is not valid JSON"):
    config_files.from_json(config_lib.Config, "{", "x.json")
