"""What is missing is found and told before a run needs it."""

import importlib.metadata

import jax
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import doctor, modes


def _wrong(config, folder):
  return {f.name: f.remedy for f in doctor.examine(config, folder) if f.remedy}


def test_a_whole_installation_lacks_nothing(tmp_path):
  found = {
    f.name: f.value for f in doctor.examine(config_lib.Config(), tmp_path)
  }
  assert _wrong(config_lib.Config(), tmp_path) == {}
  assert found["jax"] == jax.__version__
  assert found["devices"] == "8 x cpu"
  assert found["mesh"] == {"data": 8, "fsdp": 1, "model": 1}
  assert found["pinrec-jax"]


@pytest.mark.parametrize(
  ("field", "value", "name", "remedy"),
  [
    ("train.device", "gpu", "device kind", "install pinrec-jax[cuda12"),
    ("train.model_axis", 3, "mesh", "use divisors of 8"),
    ("train.batch_size", 12, "mesh", "use a multiple of 8"),
    ("train.grad_accumulation", 16, "mesh", "use a multiple of 128"),
    ("data.name", "letters", "log", "one of amazon"),
    ("data.source", "/no/such", "data.source", "mend data.source"),
  ],
)
def test_what_cannot_be_is_told_with_its_remedy(
  field, value, name, remedy, tmp_path
):
  config = config_lib.Config()
  section, attribute = field.split(".")
  setattr(getattr(config, section), attribute, value)
  assert remedy in _wrong(config, tmp_path)[name]


def test_missing_and_unfit_packages_are_named(monkeypatch, tmp_path):
  known = importlib.metadata.version

  def version(name):
    if name == "optax":
      raise importlib.metadata.PackageNotFoundError
    return "0.1" if name == "flax" else known(name)

  monkeypatch.setattr(importlib.metadata, "version", version)
  wrong = _wrong(config_lib.Config(), tmp_path)
  assert set(wrong) == {"flax", "optax"}
  assert wrong["optax"].startswith('pip install "optax')


def test_run_from_its_source_alone_it_checks_no_requirements(
  monkeypatch, tmp_path
):
  def requires(name):
    raise importlib.metadata.PackageNotFoundError

  monkeypatch.setattr(importlib.metadata, "requires", requires)
  found = {f.name: f for f in doctor.examine(config_lib.Config(), tmp_path)}
  assert "not installed" in found["requirements"].value
  assert "flax" not in found
  assert not any(f.remedy for f in found.values())


def test_an_accelerators_plugin_without_its_device_is_a_fault(
  monkeypatch, tmp_path
):
  known = importlib.metadata.version
  monkeypatch.setattr(
    importlib.metadata,
    "version",
    lambda name: "1" if name == "jax-cuda12-plugin" else known(name),
  )
  monkeypatch.delenv("JAX_PLATFORMS")
  remedy = _wrong(config_lib.Config(), tmp_path)["jax-cuda12-plugin"]
  assert "JAX sees no device" in remedy
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  assert "jax-cuda12-plugin" not in _wrong(config_lib.Config(), tmp_path)


def test_the_mode_prints_all_and_then_fails(tmp_path, capsys):
  config = config_lib.Config()
  assert modes.run("doctor", config, tmp_path)["doctor/devices"] == "8 x cpu"
  config.train.device = "tpu"
  with pytest.raises(ValueError, match=r"1 to mend\n  device kind: .*tpu"):
    modes.run("doctor", config, tmp_path)
  assert "!!  device kind" in capsys.readouterr().out
  with pytest.raises(ValueError, match=r"train.device is 'tpu'"):
    modes.run("train", config, tmp_path)


def test_where_there_is_no_device_all_is_told_all_the_same(
  tmp_path, monkeypatch, capsys
):
  def none(*_):
    raise RuntimeError("Unable to initialize backend 'tpu'")

  for name in ("devices", "process_index", "default_backend"):
    monkeypatch.setattr(jax, name, none)
  with pytest.raises(ValueError, match="devices: Unable to initialize"):
    modes.run("doctor", config_lib.Config(), tmp_path)
  told = capsys.readouterr().out
  assert "!!  devices" in told
  assert "ok  workdir" in told
