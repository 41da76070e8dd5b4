"""The doctor finds what a run would lack, and says what to do."""

import importlib.metadata

import jax
import pytest

from pinrec_jax import cli, doctor
from pinrec_jax import config as config_lib


def wrong(config, folder):
  """Returns the remedy of every fault, by its name."""
  findings = doctor.examine(config, folder).findings
  return {f.name: f.remedy for f in findings if f.remedy}


def test_a_complete_installation_lacks_nothing(tmp_path):
  for config in (None, config_lib.Config()):
    figures = doctor.examine(config, tmp_path).figures()
    assert wrong(config, tmp_path) == {}
    assert figures["jax"] == jax.__version__
    assert figures["devices"] == "8 x cpu"
    assert figures["mesh"] == {"data": 8, "fsdp": 1, "model": 1}
    assert figures["pinrec-jax"]
    assert ("log" in figures) == (config is not None)


@pytest.mark.parametrize(
  ("field", "value", "name", "remedy"),
  [
    ("train.model_axis", 3, "mesh", "use divisors of 8"),
    ("train.batch_size", 12, "mesh", "use a multiple of 8"),
    ("train.grad_accumulation", 16, "mesh", "use a multiple of 128"),
    ("data.name", "letters", "log", "set data.name to one of amazon"),
    ("data.source", "/no/such", "data.source", "correct data.source"),
    ("data.events", "/no/such", "data.events", "correct data.events"),
  ],
)
def test_every_fault_has_a_remedy(field, value, name, remedy, tmp_path):
  config = config_lib.replace(config_lib.Config(), **{field: value})
  assert remedy in wrong(config, tmp_path)[name]


def test_scann_that_is_named_must_be_installed(tmp_path, monkeypatch):
  monkeypatch.setattr(doctor.scann_index, "available", lambda: False)
  config = config_lib.Config()
  assert wrong(config, tmp_path) == {}  # Exact search serves.
  config.index.kind = "scann"
  assert "pip install scann" in wrong(config, tmp_path)["index"]


def test_missing_and_unfit_packages_are_named(monkeypatch, tmp_path):
  known = importlib.metadata.version

  def version(name):
    if name == "optax":
      raise importlib.metadata.PackageNotFoundError
    return "0.1" if name == "flax" else known(name)

  monkeypatch.setattr(importlib.metadata, "version", version)
  found = wrong(None, tmp_path)
  assert set(found) == {"flax", "optax"}
  assert found["optax"].startswith('pip install "optax')


def test_a_checkout_that_is_not_installed_has_no_requirements(
  monkeypatch, tmp_path
):
  def requires(name):
    raise importlib.metadata.PackageNotFoundError

  monkeypatch.setattr(importlib.metadata, "requires", requires)
  found = {f.name: f for f in doctor.examine(None, tmp_path).findings}
  assert "not installed" in found["requirements"].value
  assert "flax" not in found
  assert not any(f.remedy for f in found.values())


def test_a_plugin_without_its_device_is_a_fault(monkeypatch, tmp_path):
  known = importlib.metadata.version
  monkeypatch.setattr(
    importlib.metadata,
    "version",
    lambda name: "1" if name == "jax-cuda12-plugin" else known(name),
  )
  monkeypatch.delenv("JAX_PLATFORMS")
  assert "JAX sees no device" in wrong(None, tmp_path)["jax-cuda12-plugin"]
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  assert "jax-cuda12-plugin" not in wrong(None, tmp_path)


def test_a_full_disk_is_a_fault(monkeypatch, tmp_path):
  monkeypatch.setattr(doctor, "FREE", 1e9)
  assert set(wrong(None, tmp_path)) == {"data.prepared_dir", "workdir"}


def test_a_bucket_that_cannot_be_reached_is_a_fault(monkeypatch, tmp_path):
  monkeypatch.setenv("PINREC_STAGING", str(tmp_path))
  config = config_lib.Config()
  config.data.prepared_dir = "memory://b/prepared"
  assert wrong(config, tmp_path / "memory" / "b" / "run") == {}

  def gone(*_):
    raise ConnectionError("memory://b cannot be used; check the network")

  monkeypatch.setattr(doctor.objects.Objects, "list", gone)
  with pytest.raises(ValueError, match=r"2 to fix\n  data.prepared_dir: memor"):
    cli.run("doctor", config, "memory://b/run")


def test_the_mode_prints_all_findings_and_then_fails(tmp_path, capsys):
  cli.run("doctor", None, tmp_path)
  assert "ok  devices " in capsys.readouterr().out
  config = config_lib.Config()
  config.train.model_axis = 3
  with pytest.raises(ValueError, match=r"1 to fix\n  mesh: .*divisors of 8"):
    cli.run("doctor", config, tmp_path)
  printed = capsys.readouterr().out
  assert "!!  mesh" in printed
  assert "ok  workdir" in printed


@pytest.mark.parametrize("error", [RuntimeError, AssertionError])
def test_without_a_device_everything_is_printed_all_the_same(
  tmp_path, monkeypatch, capsys, error
):
  def none(*_):
    raise error("Unable to initialize backend 'tpu'")

  for name in ("devices", "process_index", "default_backend"):
    monkeypatch.setattr(jax, name, none)
  with pytest.raises(ValueError, match=r"devices: .*Unable to initialize"):
    cli.run("doctor", None, tmp_path)
  printed = capsys.readouterr().out
  assert "!!  devices" in printed
  assert "ok  workdir" in printed
