"""The launch scripts, with a fake interpreter that records its calls."""

import configparser
import pathlib
import shlex
import shutil
import subprocess

import pytest
from packaging import requirements

ROOT = pathlib.Path(__file__).parent.parent
SCRIPTS = ("launch/local.sh", "launch/test.sh", ".ci/run")
SOURCED = ("launch/setup.sh", "launch/shell.sh")
LOCK = "launch/constraints.txt"
TOOLS = ("bash", "cat", "cksum", "dirname", "paste", "rm", "sort")
TOOLS_OF_THE_FAKE = ("cp", "mkdir", "sh", "touch")

# A fake Python. It answers the scripts' questions and records other calls.
FAKE = """#!/bin/sh
case "$*" in
  *version_info*) echo {version}; exit ;;
  *ensurepip*) exit {ensurepip} ;;
  *"pip --version") exit ;;
esac
echo "$*" >> {folder}/notes
case "$*" in
  "-m venv "*)
    for venv; do :; done
    mkdir -p "$venv/bin"
    touch "$venv/pyvenv.cfg"
    cp "$0" "$venv/bin/python" ;;
  *" install "*) [ ! -e {folder}/broken ] ;;
esac
"""


class Checkout:
  """A copy of the scripts, with fake interpreters."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    self.root = folder / "a checkout"
    self.venv = self.root / ".venv"
    for name in (*SCRIPTS, *SOURCED, LOCK, "setup.cfg"):
      (self.root / name).parent.mkdir(parents=True, exist_ok=True)
      shutil.copy(ROOT / name, self.root / name)
    self.path = folder / "bin"
    self.path.mkdir()
    for tool in TOOLS + TOOLS_OF_THE_FAKE:
      where = shutil.which(tool)
      assert where is not None
      (self.path / tool).symlink_to(where)

  def add_python(self, name: str, version: str, ensurepip: bool = True):
    text = FAKE.format(
      version=version,
      ensurepip=int(not ensurepip),
      folder=shlex.quote(str(self.folder)),
    )
    (self.path / name).write_text(text)
    (self.path / name).chmod(0o755)

  def run(self, *command: str, **env: str):
    """Runs a script from another folder."""
    return subprocess.run(
      [str(self.root / command[0]), *command[1:]],
      cwd=self.folder,
      env={"PATH": str(self.path), **env},
      capture_output=True,
      text=True,
    )

  def calls(self) -> list[str]:
    """Returns the calls of interpreters since the last `calls`."""
    notes = self.folder / "notes"
    lines = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return lines


@pytest.fixture
def bare(tmp_path: pathlib.Path) -> Checkout:
  return Checkout(tmp_path)


@pytest.fixture
def checkout(bare: Checkout) -> Checkout:
  bare.add_python("python3", "3.12")
  return bare


def install(extras: str = "[serve]") -> str:
  return (
    "-m pip --disable-pip-version-check install --quiet"
    f" -c launch/constraints.txt -e .{extras}"
  )


@pytest.mark.parametrize("script", [*SCRIPTS, *SOURCED])
def test_bash_accepts_the_syntax(script: str):
  subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_usage_line_comes_first(script: str):
  lines = (ROOT / script).read_text().splitlines()
  assert lines[1].startswith(f"# {script} [--dry-run]")


def test_a_dry_run_prints_all_and_runs_nothing(checkout: Checkout):
  flags = ("--config=configs/demo.py", "--workdir=a b", "--config.seed=9")
  ran = checkout.run("launch/local.sh", flags[0], "--dry-run", *flags[1:])
  python = ".venv/bin/python"
  assert ran.returncode == 0, ran.stderr
  assert [shlex.split(line) for line in ran.stdout.splitlines()] == [
    ["python3", "-m", "venv", ".venv"],
    [python, *install().split()],
    ["exec", python, "-m", "pinrec_jax.main", *flags],
  ]
  assert not checkout.calls()
  assert not checkout.venv.exists()


def test_dry_run_of_the_tests(checkout: Checkout):
  ran = checkout.run(
    "launch/test.sh", "--dry-run", "-k", "one or two", WORKERS="0"
  )
  last = shlex.split(ran.stdout.splitlines()[-1])
  assert last[:4] == ["exec", ".venv/bin/python", "-m", "pytest"]
  assert last[4:6] == ["--numprocesses", "0"]
  assert last[-2:] == ["-k", "one or two"]
  assert install("\\[serve\\,test\\]") in ran.stdout


def test_dry_run_of_the_checks(checkout: Checkout):
  ran = checkout.run(".ci/run", "--dry-run", "-x")
  assert ran.returncode == 0, ran.stderr
  for part in ("ruff check", "ruff format --check", "pyright", "shellcheck"):
    assert part in ran.stdout
  last = ran.stdout.splitlines()[-1]
  assert last == "timeout --signal=INT --kill-after=60 25m launch/test.sh -x"
  assert not checkout.calls()


def test_a_second_run_installs_nothing(checkout: Checkout):
  checkout.run("launch/local.sh", "--workdir=a b")
  main = "-m pinrec_jax.main --workdir=a b"
  assert checkout.calls() == ["-m venv .venv", install(), main]
  ran = checkout.run("launch/local.sh", "--workdir=a b")
  assert ran.returncode == 0, ran.stderr
  assert checkout.calls() == [main]


@pytest.mark.parametrize("name", ["setup.cfg", LOCK])
def test_a_change_of_dependencies_installs_again(checkout: Checkout, name: str):
  checkout.run("launch/local.sh")
  checkout.calls()
  with (checkout.root / name).open("a") as file:
    file.write("# changed\n")
  checkout.run("launch/local.sh")
  assert checkout.calls() == [install(), "-m pinrec_jax.main"]


def test_an_interrupted_installation_is_repeated(checkout: Checkout):
  broken = checkout.folder / "broken"
  broken.touch()
  assert checkout.run("launch/local.sh").returncode != 0
  assert checkout.calls() == ["-m venv .venv", install()]
  broken.unlink()
  checkout.run("launch/local.sh")
  assert checkout.calls() == [install(), "-m pinrec_jax.main"]


def test_extras_are_installed_once(checkout: Checkout):
  checkout.run("launch/local.sh")
  checkout.run("launch/test.sh", EXTRAS="cuda12")
  assert install("[cuda12,serve,test]") in checkout.calls()
  checkout.run("launch/local.sh", EXTRAS="cuda12")
  checkout.run("launch/test.sh")
  assert not [call for call in checkout.calls() if "install" in call]


def test_an_unsupported_python_is_named(checkout: Checkout):
  checkout.add_python("python3", "3.10")
  checkout.add_python("python3.13", "3.14")
  ran = checkout.run("launch/local.sh")
  assert ran.returncode == 1
  assert "needs Python 3.11, 3.12 or 3.13" in ran.stderr
  assert "python3 is 3.10, python3.13 is 3.14" in ran.stderr
  assert "PYTHON=python3.12" in ran.stderr
  ran = checkout.run("launch/test.sh", PYTHON="python3.13")
  assert "python3.13 is 3.14" in ran.stderr
  assert "3.10" not in ran.stderr
  assert not checkout.calls()


def test_a_missing_python_is_named(bare: Checkout):
  assert "python3 does not run" in bare.run("launch/local.sh").stderr
  ran = bare.run("launch/local.sh", PYTHON="snake")
  assert "snake does not run" in ran.stderr


def test_a_supported_python_is_found(checkout: Checkout):
  checkout.add_python("python3", "3.14")
  checkout.add_python("python3.11", "3.11")
  ran = checkout.run("launch/local.sh", "--dry-run")
  assert ran.stdout.startswith("python3.11 -m venv")


def test_a_missing_ensurepip_has_a_remedy(checkout: Checkout):
  checkout.add_python("python3", "3.12", ensurepip=False)
  ran = checkout.run("launch/local.sh")
  assert ran.returncode == 1
  assert "apt-get install python3.12-venv" in ran.stderr


def test_another_python_replaces_the_environment(checkout: Checkout):
  checkout.run("launch/local.sh")
  checkout.calls()
  checkout.add_python("python3.13", "3.13")
  checkout.run("launch/local.sh", PYTHON="python3.13")
  assert checkout.calls()[:2] == ["-m venv --clear .venv", install()]
  checkout.run("launch/local.sh")
  assert checkout.calls() == ["-m pinrec_jax.main"]


def test_other_folders_are_not_cleared(checkout: Checkout):
  (checkout.root / "mine").mkdir()
  checkout.run("launch/local.sh", VENV="mine")
  assert checkout.calls()[0] == "-m venv mine"


def test_the_lock_has_every_dependency():
  setup = configparser.ConfigParser()
  setup.read(ROOT / "setup.cfg")
  asked = setup["options"]["install_requires"]
  asked += "".join(setup["options.extras_require"].values())
  lines = (ROOT / LOCK).read_text().splitlines()
  pins: dict[str, list[str]] = {}
  for line in lines:
    if not line.startswith("#"):
      pin = requirements.Requirement(line)
      (version,) = pin.specifier
      assert version.operator == "==", line
      pins.setdefault(pin.name, []).append(version.version)
  assert not {"torch", "tensorflow"} & set(pins)
  for line in filter(None, asked.splitlines()):
    want = requirements.Requirement(line)
    name = want.name.lower().replace("_", "-")
    assert all(version in want.specifier for version in pins[name]), line
