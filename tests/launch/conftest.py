"""A copy of the launch scripts, and fake programs that record their calls."""

import pathlib
import shlex
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
TOOLS = (
  *("bash", "cat", "cksum", "cp", "date", "dirname", "env", "grep", "head"),
  *("id", "mkdir", "paste", "rm", "seq", "sleep", "sort", "touch"),
)
# Records its name and arguments, one line per call, then runs the test's code.
FAKE = """#!/usr/bin/env bash
{{ printf '%q ' {name} "$@"; echo; }} >>{notes}
{body}
"""


class Stage:
  """A checkout without history, and all programs that its scripts find."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    self.root = folder / "a checkout"
    self.notes = folder / "notes"
    shutil.copytree(ROOT / "launch", self.root / "launch")
    shutil.copy(ROOT / "setup.cfg", self.root)
    self.path = folder / "bin"
    self.path.mkdir()
    for tool in TOOLS:
      where = shutil.which(tool)
      assert where is not None
      (self.path / tool).symlink_to(where)

  def add(self, name: str, body: str = "", at: pathlib.Path | None = None):
    """Makes a fake program; `at` is its file if it is not on the PATH."""
    file = at or self.path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    notes = shlex.quote(str(self.notes))
    file.write_text(FAKE.format(name=name, notes=notes, body=body))
    file.chmod(0o755)

  def env(self, **more: str) -> dict[str, str]:
    return {"PATH": str(self.path), "HOME": str(self.folder), **more}

  def run(self, script: str, *arguments: str, **env: str):
    """Calls a script from another folder."""
    return subprocess.run(
      ["bash", str(self.root / script), *arguments],
      cwd=self.folder,
      env=self.env(**env),
      capture_output=True,
      text=True,
      timeout=60,
    )

  def start(self, script: str, *arguments: str, **env: str):
    """Starts a script in the checkout and does not wait for it."""
    return subprocess.Popen(
      ["bash", script, *arguments],
      cwd=self.root,
      env=self.env(**env),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )

  def calls(self, name: str = "") -> list[list[str]]:
    """Returns all calls so far, of one program or of all."""
    lines = self.notes.read_text().splitlines() if self.notes.exists() else []
    calls = [shlex.split(line) for line in lines]
    return [call for call in calls if not name or call[0] == name]


@pytest.fixture
def stage(tmp_path: pathlib.Path) -> Stage:
  return Stage(tmp_path)
