"""The package installs from a clone, with every folder of its code."""

import configparser
import os
import pathlib
import re
import subprocess
import venv

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
PAGES += [*(ROOT / "colabs").glob("*.ipynb"), ROOT / "setup.cfg"]
USED = """
import pinrec_jax
from pinrec_jax.data import dataset
config = pinrec_jax.read_config("demo.py")
print(len(dataset.load(config.data).users))
"""


def test_every_folder_of_code_is_installed():
  setup = configparser.ConfigParser()
  setup.read(ROOT / "setup.cfg", encoding="utf-8")
  listed = setup["options"]["packages"].split()
  folders = {path.parent for path in (ROOT / "pinrec_jax").rglob("*.py")}
  found = {".".join(path.relative_to(ROOT).parts) for path in folders}
  assert set(listed) == found | {"pinrec_jax.configs"}
  assert setup["options"]["package_dir"].split() == [
    "pinrec_jax.configs", "=", "configs",
  ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_page_installs_from_a_place_that_does_not_exist(page):
  text = page.read_text(encoding="utf-8")
  assert not re.search(r"pip install[^\n`]*pinrec[-_]jax", text)
  assert not re.search(r"(github|gitlab)\.com/[\w-]+/pinrec", text)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository")
def test_scripts_keep_their_line_endings(tmp_path):
  """`core.autocrlf` would break the shell scripts."""
  clone = [
    "git",
    "clone",
    "-q",
    "-c",
    "core.autocrlf=true",
    ROOT,
    tmp_path / "c",
  ]
  subprocess.run(clone, check=True)
  for path in (tmp_path / "c" / "launch").iterdir():
    if path.is_file():
      assert b"\r" not in path.read_bytes(), path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_clone_installs_into_an_empty_environment(tmp_path):
  """The tests' own copy is not importable from the new environment."""
  venv.create(tmp_path / "venv", with_pip=True)
  python = tmp_path / "venv" / "bin" / "python"
  keep = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
  home = {"HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}

  def run(*arguments, status=0):
    done = subprocess.run(
      [python, *arguments], capture_output=True, encoding="utf-8", check=False,
      cwd=tmp_path, env=keep | home,
    )  # fmt: skip
    assert done.returncode == status, done.stderr[-3000:]
    return done.stdout

  constraints = ROOT / "launch" / "constraints.txt"
  run("-m", "pip", "install", "-q", str(ROOT), "-c", str(constraints))
  # absl ends with status 1 after help.
  shown = run("-m", "pinrec_jax.main", "--help", status=1)
  assert "--mode: <demo|prepare|" in shown
  assert int(run("-c", USED)) > 1000
  place = run("-c", "import pinrec_jax; print(pinrec_jax.__file__)")
  assert pathlib.Path(place.strip()).is_relative_to(tmp_path)
