import bz2
import gzip
import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from pinrec_jax.data import (
  readers,
  row_errors,
  separated,
  sources,
)

ROWS = [("u1", "7", "x"), ("ü", "-1", 'a "b", c'), ("007", "", "two\nlines")]
TEXT = 'user,item,note\nu1,7,x\nü,-1,"a ""b"", c"\n007,,"two\nlines"\n'
BOM = "\ufeff"


def written(path, ending):
  """Writes ROWS in a format."""
  path = path / f"log{ending}"
  frame = pd.DataFrame(ROWS, columns=["user", "item", "note"])
  lines = "".join(
    json.dumps(row) + "\n" for row in frame.to_dict(orient="records")
  )
  content = {
    ".parquet": frame.to_parquet(),
    ".csv": TEXT.encode(),
    ".CSV": (BOM + TEXT).encode(),
    ".csv.gz": gzip.compress(TEXT.encode()),
    ".csv.GZ": gzip.compress(TEXT.replace("\n", "\r\n").encode()),
    ".tsv.bz2": bz2.compress(TEXT.replace(",", "\t").encode()),
    ".tsv": TEXT.replace(",", "\t").encode("utf-16"),
    ".jsonl": lines.encode(),
    ".JSONL": (BOM + lines).encode(),
    ".jsonl.gz": gzip.compress(lines.encode()),
    ".json": json.dumps(frame.to_dict(orient="records"), indent=1).encode(),
    ".ndjson": json.dumps(frame.to_dict(orient="records")).encode(),
  }
  path.write_bytes(content[ending])
  return path


def read_all(path, **options):
  """Returns rows, their numbers and the broken lines."""
  rows, numbers, broken = [], [], []
  for chunk in readers.chunks(path, **options):
    columns = [
      column if isinstance(column, list) else column.to_pylist()
      for column in chunk.columns.values()
    ]
    rows += zip(*columns, strict=True)
    numbers += chunk.row.tolist()
    broken += chunk.broken
  return rows, numbers, broken


@pytest.mark.parametrize(
  "ending",
  [
    ".csv", ".CSV", ".csv.gz", ".csv.GZ", ".tsv.bz2", ".tsv", ".jsonl",
    ".JSONL", ".jsonl.gz", ".json", ".ndjson", ".parquet",
  ],
)  # fmt: skip
def test_every_format_is_read_alike(tmp_path, ending):
  rows, numbers, broken = read_all(written(tmp_path, ending))
  expected = ROWS
  if "tsv" in ending:  # The comma inside was a separator's stand-in.
    expected = [ROWS[0], ("ü", "-1", 'a "b"\t c'), ROWS[2]]
  if "GZ" in ending:
    expected = [*ROWS[:2], ("007", "", "two\r\nlines")]
  assert rows == expected
  assert not broken
  header = ending.lower().startswith((".csv", ".tsv"))
  assert numbers == [n + 1 + header for n in range(3)]


def test_rows_that_cannot_be_read_are_named_by_their_place(tmp_path):
  path = tmp_path / "log.csv"
  path.write_text("a,b\n1,2\n3\n\n4,5\n6,7,8\n9,9\n1")
  _, numbers, broken = read_all(path)
  assert numbers == [2, 5, 7]
  assert [(one.row, one.reason, one.text) for one in broken] == [
    (3, separated.FIELDS, "has 1 fields instead of 2"),
    (6, separated.FIELDS, "has 3 fields instead of 2"),
    (8, separated.FIELDS, "has 1 fields instead of 2"),
  ]
  path = tmp_path / "log.jsonl"
  path.write_text('{"a": 1}\n\n{"a"\n[1]\n7\n{"a": null}\n')
  rows, numbers, broken = read_all(path)
  assert rows == [(1,), (None,)]
  assert numbers == [1, 6]
  assert [(one.row, one.text) for one in broken] == [
    (3, '{"a"'), (4, "[1]"), (5, "7"),
  ]  # fmt: skip


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_large_files_come_in_pieces_and_integers_stay_whole(
  tmp_path, monkeypatch, ending
):
  monkeypatch.setattr(readers, "ROWS", 100)
  big = 2**62 + 1
  frame = pd.DataFrame({"a": pd.array([big, None] * 500, dtype="Int64")})
  path = tmp_path / f"log{ending}"
  if ending == ".parquet":
    frame.to_parquet(path)
  elif ending == ".csv":
    path.write_text("a,b\n" + f"{big},\n,\n" * 500)
  else:
    path.write_text((json.dumps({"a": big}) + '\n{"a": null}\n') * 500)
  read = list(readers.chunks(path, wanted=["a"]))
  assert len(read) == 10
  rows = np.concatenate([chunk.row for chunk in read])
  np.testing.assert_array_equal(rows, rows[0] + np.arange(1000))
  values = read[3].columns["a"]
  values = values if isinstance(values, list) else values.to_pylist()
  assert str(values[0]) == str(big)
  assert values[1] in (None, "")


def test_files_are_found_by_path_folder_or_pattern(tmp_path):
  one, other = written(tmp_path, ".csv"), written(tmp_path, ".jsonl")
  (tmp_path / ".hidden.csv").write_text("a")
  assert sources.files(str(one), "events") == ([one], [])
  assert sources.files(str(tmp_path), "events") == ([one, other], [])
  assert sources.files(f"{tmp_path}/*.jsonl", "events") == ([other], [])
  with pytest.raises(FileNotFoundError, match=r"data\.items is .*absent"):
    sources.files(f"{tmp_path}/absent*", "items")
  lone = tmp_path / "notes.xlsx"
  lone.write_text("x")
  with pytest.raises(ValueError, match=r"notes\.xlsx is .*unknown format"):
    sources.files(str(lone), "events")
  assert sources.files(str(tmp_path), "events") == ([one, other], [lone.name])


def test_a_folder_of_spark_is_read(tmp_path):
  folder = tmp_path / "log"
  for day in (1, 2):
    part = folder / f"date=2023-11-0{day}"
    part.mkdir(parents=True)
    frame = pd.DataFrame({"user": [f"u{day}"], "item": [day]})
    frame.to_parquet(part / "part-0.snappy.parquet")
    (part / "._part-0.crc").write_text("x")
  (folder / "_SUCCESS").write_text("")
  (folder / "_committed_123").write_text("x")
  (folder / "part-1.csv").write_text("")
  (folder / "README.md").write_text("# read me")
  (folder / "_temporary").mkdir()
  (folder / "_temporary" / "part-9.csv").write_text("user,item\n")
  found, skipped = sources.files(str(folder), "events")
  assert [path.parent.name for path in found] == [
    "date=2023-11-01", "date=2023-11-02",
  ]  # fmt: skip
  assert skipped == ["README.md", "part-1.csv"]
  assert readers.columns(found[0]) == ["user", "item", "date"]
  assert read_all(found[1])[0] == [("u2", 2, "2023-11-02")]
  (chunk,) = readers.chunks(found[0], wanted=["date", "user"])
  assert chunk.file == "date=2023-11-01/part-0.snappy.parquet"
  assert chunk.columns["date"].to_pylist() == ["2023-11-01"]


@pytest.mark.parametrize("name", ["log[1].csv", "a[1-2]*?.csv", "x{y}.csv"])
def test_signs_of_patterns_may_be_in_a_name(tmp_path, name):
  folder = tmp_path / "data[1]"
  folder.mkdir()
  path = folder / name
  path.write_text("a\n1\n")
  assert sources.files(str(path), "events")[0] == [path]
  assert sources.files(str(folder), "events")[0] == [path]
  assert sources.files(f"{folder}/*.csv", "events")[0] == [path]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".parquet"])
def test_a_file_that_is_not_a_table_is_named(tmp_path, ending):
  path = tmp_path / f"log{ending}"
  path.write_bytes(b"a,b\n\xff\xfe\x00,1\n")
  with pytest.raises(
    ValueError, match=rf"log\{ending} cannot be read: .*again"
  ):
    list(readers.chunks(path))


def test_inner_fields_are_columns_with_a_dot(tmp_path):
  rows = [{"item": {"id": "i1", "at": {"x": 1}}, "a.b": 3}, {"item": 7}]
  (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
  pd.DataFrame(rows[:1]).to_parquet(tmp_path / "a.parquet")
  for ending, more in ((".jsonl", [(None, 7, None, None)]), (".parquet", [])):
    path = tmp_path / f"a{ending}"
    assert {"item", "item.id", "item.at.x", "a.b"} <= {*readers.columns(path)}
    wanted = ["item.id", "item", "item.at.x", "a.b"]
    found, _, _ = read_all(path, wanted=wanted)
    assert found == [("i1", rows[0]["item"], 1, 3), *more]


def test_a_column_of_the_file_comes_before_that_of_a_folder(tmp_path):
  folder = tmp_path / "user=me" / "day=__HIVE_DEFAULT_PARTITION__" / "n=a%20b"
  folder.mkdir(parents=True)
  for name, content in (("a.csv", "user\nu1\n"), ("a.jsonl", '{"user": "u1"}')):
    (folder / name).write_text(content)
    assert readers.columns(folder / name) == ["user", "day", "n"]
    assert read_all(folder / name)[0] == [("u1", "", "a b")]


def test_a_key_that_is_there_twice_is_a_broken_row(tmp_path):
  path = tmp_path / "a.jsonl"
  path.write_text('{"a": 1, "a": 2}\n\ufeff{"a": 3}\n{"b": {"c": 1, "c": 1}}\n')
  rows, _, broken = read_all(path)
  assert rows == [(3,)]
  assert [one.row for one in broken] == [1, 3]


@pytest.mark.parametrize(
  "text", ["[]", "{}", "7", "", '{\n"a": 1\n}', "[1, 2]", "[[]]"]
)
def test_a_file_without_objects_is_named(tmp_path, text):
  path = tmp_path / "a.json"
  path.write_text(text)
  with pytest.raises(
    ValueError, match=r"no line of .*a\.json is a JSON object"
  ):
    readers.columns(path)


def test_an_array_may_have_one_object(tmp_path):
  path = tmp_path / "a.json"
  path.write_text('[{"a": 1}]')
  assert read_all(path)[0] == [(1,)]


def test_keys_are_looked_for_in_all_objects(tmp_path):
  path = tmp_path / "a.jsonl"
  path.write_text('{"a": 1}\n' * 5 + '[]\n{"a": {"c": 1}}\n{"b": 2, "a": 1}\n')
  assert readers.columns(path) == ["a", "a.c", "b"]


def test_broken_rows_are_counted_by_their_lines(tmp_path):
  errors = row_errors.RowErrors()
  broken = [separated.Broken(3, "torn", "x", 4), separated.Broken(9, "bad", "")]
  chunk = readers.Chunk("f", np.array([1, 2]), {}, broken)
  good = chunk.filter(errors)
  assert good.good.tolist() == [True, True]
  assert errors.rows == 7
  assert errors.counts == {"torn": 4, "bad": 1}


@pytest.mark.parametrize("text", ["~/log.csv", "~nobody-here/log.csv"])
def test_a_home_folder_that_is_missing_is_named(monkeypatch, text):
  def no_home(path):
    raise RuntimeError("Could not determine home directory.")

  monkeypatch.setattr(pathlib.Path, "expanduser", no_home)
  with pytest.raises(
    ValueError, match=r"data\.events is '~.*set HOME, or give"
  ):
    sources.files(text, "events")
