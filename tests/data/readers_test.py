import bz2
import gzip
import json

import numpy as np
import pandas as pd
import pytest

from pinrec_jax.data import readers

ROWS = [("u1", "7", "x"), ("ü", "-1", 'a "b", c'), ("007", "", "two\nlines")]
TEXT = 'user,item,note\nu1,7,x\nü,-1,"a ""b"", c"\n007,,"two\nlines"\n'


def written(path, ending):
  """Writes ROWS in a format."""
  path = path / f"log{ending}"
  frame = pd.DataFrame(ROWS, columns=["user", "item", "note"])
  lines = "".join(
    json.dumps(row) + "\n" for row in frame.to_dict(orient="records")
  )
  if ending == ".parquet":
    frame.to_parquet(path)
  elif ending == ".csv":
    path.write_text(TEXT)
  elif ending == ".tsv.bz2":
    path.write_bytes(bz2.compress(TEXT.replace(",", "\t").encode()))
  elif ending == ".csv.gz":
    path.write_bytes(gzip.compress(TEXT.encode()))
  else:
    path.write_text(lines)
  return path


@pytest.mark.parametrize(
  "ending", [".csv", ".csv.gz", ".tsv.bz2", ".jsonl", ".parquet"]
)
def test_every_format_is_read_alike(tmp_path, ending):
  read = list(readers.chunks(written(tmp_path, ending)))
  frame = pd.concat([chunk.frame for chunk in read if len(chunk.frame)])
  told = [tuple(row) for row in frame.itertuples(index=False)]
  expected = ROWS
  if ending == ".tsv.bz2":  # the comma within was a separator's stand-in
    expected = [*ROWS[:1], ("ü", "-1", 'a "b"\t c'), *ROWS[2:]]
  assert told == expected
  assert not any(chunk.broken for chunk in read)
  header = ".csv" in ending or ".tsv" in ending
  rows = np.concatenate([chunk.row for chunk in read])
  assert rows.tolist() == [n + 1 + header for n in range(3)]


def test_rows_that_cannot_be_read_are_told_by_their_place(tmp_path):
  path = tmp_path / "log.csv"
  path.write_text("a,b\n1,2\n3\n4,5\n6,7,8\n9,9\n1")
  read = list(readers.chunks(path))
  assert [n for chunk in read for n in chunk.row] == [2, 4, 6]
  assert [fault for chunk in read for fault in chunk.broken] == [
    (3, readers.FIELDS, "has 1 fields and not 2"),
    (5, readers.FIELDS, "has 3 fields and not 2"),
    (7, readers.FIELDS, "has 1 fields and not 2"),
  ]
  path = tmp_path / "log.jsonl"
  path.write_text('{"a": 1}\n\n{"a"\n[1]\n{"a": null}\n')
  (read,) = readers.chunks(path)
  assert read.row.tolist() == [1, 5]
  assert read.broken == [
    (3, readers.OBJECT, '{"a"'),
    (4, readers.OBJECT, "[1]"),
  ]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_large_files_come_in_pieces_and_integers_stay_whole(
  tmp_path, monkeypatch, ending
):
  monkeypatch.setattr(readers, "ROWS", 100)
  monkeypatch.setattr(readers, "BYTES", 1000)
  big = 2**62 + 1
  frame = pd.DataFrame({"a": pd.array([big, None] * 500, dtype="Int64")})
  path = tmp_path / f"log{ending}"
  if ending == ".parquet":
    frame.to_parquet(path)
  elif ending == ".csv":
    path.write_text("a,b\n" + f"{big},\n,\n" * 500)
  else:
    path.write_text((json.dumps({"a": big}) + '\n{"a": null}\n') * 500)
  read = list(readers.chunks(path))
  assert len(read) > 5
  rows = np.concatenate([chunk.row for chunk in read])
  np.testing.assert_array_equal(rows, rows[0] + np.arange(1000))
  values = [value for chunk in read for value in chunk.frame["a"]]
  assert str(values[0]) == str(big)
  assert values[1] in (None, "") or pd.isna(values[1])


def test_files_are_found_by_path_folder_or_pattern(tmp_path):
  one, other = written(tmp_path, ".csv"), written(tmp_path, ".jsonl")
  (tmp_path / ".hidden").write_text("")
  assert readers.files(str(one), "events") == [one]
  assert readers.files(str(tmp_path), "events") == [one, other]
  assert readers.files(f"{tmp_path}/*.jsonl", "events") == [other]
  with pytest.raises(FileNotFoundError, match=r"data\.items is .*absent"):
    readers.files(f"{tmp_path}/absent*", "items")
  (tmp_path / "notes.xlsx").write_text("")
  with pytest.raises(ValueError, match=r"notes\.xlsx is of no known format"):
    readers.files(str(tmp_path), "events")


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".parquet"])
def test_a_file_that_is_no_such_table_is_corrupt(tmp_path, ending):
  path = tmp_path / f"log{ending}"
  path.write_bytes(b"a,b\n\xff\xfe\x00,1\n")
  with pytest.raises(ValueError, match=rf"log\{ending} is corrupt: .*again"):
    list(readers.chunks(path))
