"""Pieces of training histories in memory and in files."""

import itertools
import pickle

import jax
import numpy as np
import pytest

from pinrec_jax.data import packing, pipeline

LENGTH = 24


@pytest.fixture(scope="module")
def pieces(pieces_of):
  return pieces_of(LENGTH)


@pytest.fixture
def folder(pieces, world, tmp_path):
  packing.write(tmp_path / "packed", iter(pieces), len(world.items.ids))
  return tmp_path / "packed"


def same(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for left, right in zip(
    jax.tree.leaves(one), jax.tree.leaves(other), strict=True
  ):
    assert left.dtype == right.dtype
    np.testing.assert_array_equal(left, right)


def test_counts_are_those_of_the_targets(pieces, world):
  found = packing.InMemory(pieces, len(world.items.ids)).counts
  targets = np.concatenate([p.targets.item for p in pieces])
  shown = np.concatenate([p.targets.shown for p in pieces])
  outcomes = np.concatenate([p.targets.outcomes for p in pieces])
  for item in range(1, len(world.items.ids)):
    assert found.targets[item] == (targets == item).sum()
    assert found.shown[item] == (shown == item).sum()
  assert found.targets[0] == found.shown[0] == 0
  assert found.outcomes.tolist() == outcomes[targets > 0].sum(0).tolist()


def test_a_file_has_the_same_pieces_counts_and_rows(pieces, world, folder):
  memory = packing.InMemory(pieces, len(world.items.ids))
  file = packing.InFile(folder)
  same(memory.counts, file.counts)
  for n, piece in enumerate(pieces):
    same(piece, packing.row([file.read(n)], piece.targets.item.size))
  for seed in (0, 1):
    one = pipeline.PackedRows(memory, LENGTH, seed)
    for _ in range(2):  # Packed, then read.
      other = pipeline.PackedRows(packing.InFile(folder), LENGTH, seed)
      assert len(one) == len(other)
      assert one.filled == other.filled
      for n in range(len(one)):
        same(one[n], other[n])


def test_worker_processes_read_the_file_themselves(pieces, folder):
  file = packing.InFile(folder)
  file.read(0)
  again = pickle.loads(pickle.dumps(file))
  assert again.read(3).tobytes() == file.read(3).tobytes()


def test_a_changed_byte_is_found_when_it_is_read(pieces, folder):
  path = folder / packing.RECORDS
  data = bytearray(path.read_bytes())
  data[-1] ^= 1
  path.write_bytes(data)
  file = packing.InFile(folder)
  file.read(0)
  with pytest.raises(packing.DamagedError, match="records is damaged"):
    file.read(len(pieces) - 1)
  with pytest.raises(packing.DamagedError):  # The next run writes it again.
    packing.InFile(folder)


@pytest.mark.parametrize("name", ["records", "ends.npy", "about.json"])
@pytest.mark.parametrize("how", ["shorter", "missing"])
def test_other_damage_is_found_at_the_start(folder, name, how):
  path = folder / name
  if how == "missing":
    path.unlink()
  else:
    path.write_bytes(path.read_bytes()[:-2])
  with pytest.raises(packing.DamagedError):
    packing.InFile(folder)


def test_damaged_rows_are_packed_again(pieces, world, folder):
  one = packing.InFile(folder).rows(LENGTH, 0)
  path = next(folder.glob("rows-0-*places-*.npy"))
  good = path.read_bytes()
  for data in (b"", good[:-50], good[:-1] + b"x"):
    path.write_bytes(data)
    same(one, packing.InFile(folder).rows(LENGTH, 0))


def test_a_failed_write_leaves_nothing(pieces, world, tmp_path):
  def failing():
    yield pieces[0]
    raise RuntimeError("stopped")

  with pytest.raises(RuntimeError, match="stopped"):
    packing.write(tmp_path / "packed", failing(), len(world.items.ids))
  assert not list(tmp_path.iterdir())


def test_batches_read_from_a_file_can_be_resumed(folder):
  rows = pipeline.PackedRows(packing.InFile(folder), LENGTH, seed=0)
  stream = pipeline.batches(rows, batch=4, seed=0)
  list(itertools.islice(stream, 3))
  state = stream.get_state()
  after = list(itertools.islice(stream, 3))
  again = pipeline.batches(
    pipeline.PackedRows(packing.InFile(folder), LENGTH, seed=0),
    batch=4,
    seed=0,
  )
  again.set_state(state)
  for one, other in zip(after, itertools.islice(again, 3), strict=True):
    same(one, other)
