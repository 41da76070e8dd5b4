"""Damaged checkpoints are noticed, named and replaced by the one before."""

import random
import re
import shutil

import grain
import jax
import numpy as np
import pytest

from pinrec_jax import sharding
from pinrec_jax.training import checkpoint, checkpoint_files

NETWORK = {"model.hidden_dim": 16}
STEPS = (1, 2, 3)


@pytest.fixture(scope="module")
def mesh():
  return sharding.device_mesh(devices=jax.devices()[:1])


def state_of(step):
  rng = np.random.default_rng(step)
  return {"table": jax.numpy.asarray(rng.normal(size=(999, 64)))}


def data_of():
  return iter(grain.MapDataset.range(8).to_iter_dataset())


def save(folder, scores=(0.1, 0.3, 0.2)):
  checkpoints = checkpoint.Checkpoints(folder)
  for step, score in zip(STEPS, scores, strict=True):
    metrics = {checkpoint.METRIC: score}
    checkpoints.save(step, state_of(step), data_of(), metrics, NETWORK)
  checkpoints.close()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """Returns the folder of three checkpoints; the second is the best."""
  folder = tmp_path_factory.mktemp("saved") / "checkpoints"
  save(folder)
  return folder


@pytest.fixture
def folder(saved, tmp_path):
  return shutil.copytree(saved, tmp_path / "run" / "checkpoints")


def resume(folder, mesh):
  """Returns the step that a run would continue from."""
  checkpoints = checkpoint.Checkpoints(folder)
  state = checkpoints.resume(state_of(0), mesh, NETWORK, data_of())
  step = checkpoints.last
  checkpoints.close()
  if state is not None:
    np.testing.assert_array_equal(state["table"], state_of(step)["table"])
  return step


def flip(path, rng):
  """Flips one bit of a file."""
  content = bytearray(path.read_bytes())
  content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
  path.write_bytes(content)


def files_of(folder):
  return sorted(path for path in folder.rglob("*") if path.is_file())


def test_whole_checkpoints_are_read(folder, mesh, capsys):
  for path in checkpoint_files.steps(folder):
    checkpoint_files.check(folder / str(path))
  assert resume(folder, mesh) == 3
  assert capsys.readouterr().err == ""
  reader = checkpoint.Checkpoints(folder, read_only=True)
  assert reader.by_score == [2, 3]  # The best one and the last two are kept.
  assert reader.metrics(2) == {checkpoint.METRIC: 0.3}
  reader.close()


def test_every_flipped_bit_is_noticed(folder):
  rng, last = random.Random(0), folder / "3"
  for path in [
    p for p in files_of(last) if p.name not in checkpoint_files.LAST
  ]:
    before = path.read_bytes()
    for _ in range(5):
      flip(path, rng)
      with pytest.raises(checkpoint_files.DamagedError) as error:
        checkpoint_files.check(last)
      assert str(path.relative_to(last)) in str(error.value) or (
        path.name == checkpoint_files.DIGESTS
      )
      path.write_bytes(before)
  checkpoint_files.check(last)


def damage_large(last):
  path = max(files_of(last), key=lambda path: path.stat().st_size)
  assert path.stat().st_size > checkpoint_files.SMALL
  flip(path, random.Random(1))


@pytest.mark.parametrize(
  ("damage", "named"),
  [
    (damage_large, r"state/ocdbt.*damaged"),
    (lambda last: flip(last / "metrics" / "metrics", random.Random(2)), "metr"),
    (
      lambda last: flip(last / "network" / "metadata", random.Random(3)),
      "netw",
    ),
    (lambda last: (last / "metrics" / "metrics").write_text("{"), "metrics"),
    (lambda last: (last / "digests.json").unlink(), "digests.json is missing"),
    (lambda last: (last / "digests.json").write_text("[]"), "digests.json"),
    (lambda last: (last / "_CHECKPOINT_METADATA").write_text("[]"), "METADATA"),
    (lambda last: shutil.rmtree(last / "state"), "state/.*is missing"),
    (lambda last: shutil.rmtree(last / "data"), "data/.*is missing"),
    (lambda last: [shutil.rmtree(last), last.mkdir()], "3 is empty"),
  ],
)
def test_a_run_continues_from_the_checkpoint_before_and_says_so(
  folder, mesh, damage, named, capsys
):
  damage(folder / "3")
  assert resume(folder, mesh) == 2
  said = capsys.readouterr().err
  assert re.search(named, said)
  assert f"set aside as {folder.parent / 'damaged-3'}" in said
  assert (folder.parent / "damaged-3").is_dir()
  # The next step 3 can be written.
  checkpoints = checkpoint.Checkpoints(folder)
  checkpoints.save(3, state_of(3), data_of(), {}, NETWORK)
  checkpoints.close()
  assert resume(folder, mesh) == 3


def test_validations_without_gain_are_those_of_the_checkpoint_before(
  tmp_path, mesh
):
  folder = tmp_path / "run" / "checkpoints"
  save(folder, (0.3, 0.2, 0.1))
  damage_large(folder / "3")
  checkpoints = checkpoint.Checkpoints(folder)
  assert checkpoints.stale == 2
  checkpoints.resume(state_of(0), mesh, NETWORK, data_of())
  assert (checkpoints.last, checkpoints.stale) == (2, 1)
  better = {checkpoint.METRIC: 0.4}
  checkpoints.save(3, state_of(3), data_of(), better, NETWORK)
  assert checkpoints.stale == 0
  checkpoints.close()


def test_a_damaged_best_checkpoint_is_left_out_with_a_message(folder, capsys):
  for name in ("metrics/metrics", "network/metadata"):
    path = folder / "2" / name
    before = path.read_bytes()
    flip(path, random.Random(0))
    reader = checkpoint.Checkpoints(folder, read_only=True)
    assert reader.by_score == [3]
    reader.close()
    said = capsys.readouterr().err
    assert f"{path} is damaged" in said
    assert "Another checkpoint is read" in said
    path.write_bytes(before)
  assert (folder / "2").is_dir()  # Reading changes nothing.


def test_a_run_without_good_checkpoints_says_so(folder, mesh):
  for step in (2, 3):
    damage_large(folder / str(step))
  with pytest.raises(checkpoint_files.DamagedError, match="all checkpoints of"):
    resume(folder, mesh)
  assert resume(folder, mesh) is None


@pytest.mark.parametrize("name", ["[1]", "a[b]c*", "what?", "[!x]", "a b'ü"])
def test_a_folder_may_have_the_signs_of_patterns(tmp_path, mesh, name):
  folder = tmp_path / name / "checkpoints"
  save(folder)
  assert resume(folder, mesh) == 3
  assert {path.name for path in folder.iterdir()} == {"2", "3"}


def test_a_damaged_folder_gets_a_free_name(tmp_path):
  for name in ("damaged-3", "damaged-3-2", "damaged-3-3"):
    (tmp_path / "checkpoints" / "3").mkdir(parents=True)
    place = checkpoint_files.set_aside(tmp_path / "checkpoints" / "3")
    assert place == tmp_path / name
