"""Rows divided on disk come back whole, by parts and by groups of parts."""

import pandas as pd
import pytest

from pinrec_jax.data.custom import parts


@pytest.fixture
def written(tmp_path):
  users = [f"u{n}" for n in range(12)] * 5
  rows = pd.DataFrame({"user": users, "n": range(60)})
  shelf = parts.Parts(tmp_path / "rows", 16)
  shelf.write([rows.iloc[:23], rows.iloc[23:]])
  return rows, shelf


def test_parts_hold_every_row_and_whole_users(written):
  rows, shelf = written
  found = list(shelf)
  assert sorted(n for part in found for n in part["n"]) == list(rows["n"])
  of_user = [set(part["user"]) for part in found]
  assert sum(map(len, of_user)) == 12
  for part in found:
    assert part["n"].is_monotonic_increasing


@pytest.mark.parametrize("size", [1, 3000, 1 << 30])
def test_groups_are_every_part_with_rows_once_and_none_is_empty(written, size):
  rows, shelf = written
  groups = shelf.groups(size)
  assert all(groups)
  there = [n for group in groups for n in group]
  assert there == sorted(set(there))
  assert sum(len(part) for part in shelf.read(there)) == len(rows)
  if size == 1:
    assert {len(group) for group in groups} == {1}
  if size == 1 << 30:
    assert len(groups) == 1
