"""Files are written whole or not at all, and their digests are checked."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from pinrec_jax import files


def test_a_file_is_replaced_whole(tmp_path, monkeypatch):
  path = tmp_path / "new" / "file.txt"
  files.write(path, "é\n")
  assert path.read_bytes() == "é\n".encode()
  files.write(path, b"\x00")
  assert path.read_bytes() == b"\x00"

  def fail(*_):
    raise OSError("the disk is full")

  monkeypatch.setattr(os, "fsync", fail)
  with pytest.raises(OSError, match="full"):
    files.write(path, "more")
  assert path.read_bytes() == b"\x00"
  assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_file_has_the_permissions_of_the_user(tmp_path):
  before = os.umask(0o027)
  try:
    files.write(tmp_path / "file", "")
    with files.new_folder(tmp_path / "folder"):
      pass
  finally:
    os.umask(before)
  assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
  assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_json_comes_back_and_a_damaged_file_is_named(tmp_path):
  path = tmp_path / "x.json"
  value = {"a": [1, 2.5, "é", None, True], "b": {"c": ()}}
  files.write_json(path, value)
  assert files.read_json(path) == {
    "a": [1, 2.5, "é", None, True], "b": {"c": []},
  }  # fmt: skip
  files.write_json(path, [float("nan"), float("-inf")])
  assert files.read_json(path, list) == [None, None]
  with pytest.raises(ValueError, match=r"x\.json is damaged: .* a dict"):
    files.read_json(path)
  path.write_text("{")
  with pytest.raises(ValueError, match=r"x\.json is damaged: it is not JSON"):
    files.read_json(path)


def test_a_folder_appears_only_if_nothing_failed(tmp_path):
  path = tmp_path / "folder"
  with files.new_folder(path) as part:
    (part / "a").write_text("1")
    assert not path.exists()
  assert (path / "a").read_text() == "1"

  def fail():
    with files.new_folder(path) as part:
      (part / "a").write_text("2")
      raise OSError("the disk is full")

  with pytest.raises(OSError, match="full"):
    fail()
  assert (path / "a").read_text() == "1"
  with files.new_folder(path) as part:
    (part / "b").write_text("3")
  assert [p.name for p in path.iterdir()] == ["b"]
  assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_digests_find_a_changed_and_a_missing_file(tmp_path):
  (tmp_path / "inner").mkdir()
  for name in ("a", "inner/b"):
    (tmp_path / name).write_text(name)
  digests = files.digests(tmp_path)
  assert set(digests) == {"a", "inner/b"}
  files.check(tmp_path, digests, "write it again")
  (tmp_path / "inner" / "b").write_text("c")
  with pytest.raises(ValueError, match=r"inner/b is damaged: .*it again"):
    files.check(tmp_path, digests, "write it again")
  (tmp_path / "a").unlink()
  with pytest.raises(ValueError, match="a is missing; write it again"):
    files.check(tmp_path, digests, "write it again")


HOLD = """
import pathlib, sys, time
from pinrec_jax import files
with files.locked(pathlib.Path(sys.argv[1])):
  print("locked", flush=True)
  time.sleep(60)
"""


def _holding(folder):
  """Starts a process that locks a folder."""
  process = subprocess.Popen(
    [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE
  )
  assert process.stdout
  assert process.stdout.readline() == b"locked\n"
  return process


def test_a_lock_names_the_other_process_and_ends_with_it(tmp_path):
  folder = tmp_path / "run"
  with _holding(folder) as process:
    named = rf"run is in use by process {process.pid} on .*another --workdir"
    for _ in range(2):
      with pytest.raises(ValueError, match=named), files.locked(folder):
        pass
    with files.locked(tmp_path / "other"):
      pass
    process.send_signal(signal.SIGKILL)
    process.wait()
  with files.locked(folder):
    again = r"in use by this process; wait"
    with pytest.raises(ValueError, match=again), files.locked(folder):
      pass
    done = subprocess.run(
      [sys.executable, "-c", HOLD, str(folder)],
      capture_output=True,
      text=True,
    )
    assert f"in use by process {os.getpid()} on" in done.stderr
  with files.locked(folder):
    pass


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
  def fail(*_):
    raise OSError(95, "not supported")

  monkeypatch.setattr(files.fcntl, "lockf", fail)
  with files.locked(tmp_path):
    pass
