import itertools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinrec_jax.data import packing, pipeline

LENGTH = 24


@pytest.fixture(scope="module")
def pieces(pieces_of):
  return pieces_of(LENGTH)


@pytest.fixture(scope="module")
def rows(world, pieces):
  return pipeline.PackedRows(
    packing.InMemory(pieces, len(world.items.ids)), LENGTH, seed=0
  )


def take(rows, steps, **options):
  stream = pipeline.batches(rows, **{"batch": 4, "seed": 0} | options)
  return list(itertools.islice(stream, steps))


def same(one, other):
  for left, right in zip(
    jax.tree.leaves(one), jax.tree.leaves(other), strict=True
  ):
    np.testing.assert_array_equal(left, right)


def content(row):
  """Returns a row as something that compares."""
  return tuple(column.tobytes() for column in jax.tree.leaves(row))


@given(
  lengths=st.lists(st.integers(1, 20), max_size=60),
  capacity=st.integers(20, 40),
  seed=st.integers(0, 9),
)
def test_every_piece_is_packed_once_and_no_row_overflows(
  lengths, capacity, seed
):
  rows = packing.pack(lengths, capacity, seed)
  assert sorted(itertools.chain(*rows)) == list(range(len(lengths)))
  assert all(0 < sum(lengths[p] for p in row) <= capacity for row in rows)


def test_rows_are_nearly_full():
  lengths = np.random.default_rng(0).integers(1, 65, 2_000).tolist()
  rows = packing.pack(lengths, 64, seed=0)
  assert sum(lengths) / (64 * len(rows)) > 0.95


def test_packing_depends_on_the_seed():
  first, again, other = (packing.pack([3] * 20, 9, seed) for seed in (0, 0, 1))
  assert first == again != other


def test_rows_hold_the_pieces_one_segment_each(pieces, rows):
  found = []
  for row in (rows[n] for n in range(len(rows))):
    segment = row.tokens.segment
    assert segment.shape == (LENGTH,)
    for n in range(1, segment.max() + 1):
      own = jax.tree.map(lambda column, keep=segment == n: column[keep], row)
      np.testing.assert_array_equal(
        own.tokens.position, np.arange(len(own.tokens.item))
      )
      first = own.tokens._replace(segment=own.tokens.segment // n)
      found.append(own._replace(tokens=first))
    padding = jax.tree.map(lambda column, s=segment: column[s == 0], row)
    assert not any(column.any() for column in jax.tree.leaves(padding))
  assert sorted(map(content, found)) == sorted(map(content, pieces))
  held = sum(piece.tokens.item.size for piece in pieces)
  assert rows.filled == held / (len(rows) * LENGTH) > 0.7


def test_batches_depend_on_seed_and_step_alone(rows):
  first, again = take(rows, 30), take(rows, 30)
  same(first, again)
  other = take(rows, 30, seed=1)
  differing = [
    (a.tokens.item != b.tokens.item).any()
    for a, b in zip(first, other, strict=True)
  ]
  assert np.mean(differing) > 0.9


def test_every_epoch_shows_each_row_once_in_an_order_of_its_own(rows):
  steps = 2 * len(rows)
  shown = [
    content(jax.tree.map(lambda column, n=n: column[n], batch))
    for batch in take(rows, steps // 2)
    for n in range(4)
  ]
  every = sorted(content(rows[n]) for n in range(len(rows)))
  first, second = shown[: len(rows)], shown[len(rows) : 2 * len(rows)]
  assert sorted(first) == sorted(second) == every
  assert first != second


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_rows_of_one(rows, processes):
  whole = take(rows, 20)
  shares = [
    take(rows, 20, share=process, shares=processes)
    for process in range(processes)
  ]
  for batch, *parts in zip(whole, *shares, strict=True):
    same(batch, jax.tree.map(lambda *p: np.concatenate(p), *parts))


def test_iterator_resumes_where_its_state_was_taken(rows):
  stream = pipeline.batches(rows, batch=4, seed=0)
  list(itertools.islice(stream, 7))
  state = stream.get_state()
  expected = list(itertools.islice(stream, 20))
  resumed = pipeline.batches(rows, batch=4, seed=0)
  resumed.set_state(state)
  same(list(itertools.islice(resumed, 20)), expected)
  stream.set_state(state)
  same(list(itertools.islice(stream, 20)), expected)
