import csv
import io
import random

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from pinrec_jax.data import headers, separated

HEADER = "user,title,item,time,action"


def log(size=200):
  """Lines of a log with titles."""
  return [
    f"u{n % 40},Monitor {n},i{n % 9},{1650000000 + n},click"
    for n in range(size)
  ]


SIZE = 7  # Lines of a piece; quotes reach over several pieces.


def read(lines, separator=",", first=HEADER, joined="\n", **layout):
  """Returns the good rows and the broken lines."""
  text = joined.join([first, *lines] if first else lines) + joined
  text = text.replace(",", separator)
  good, broken = [], []
  layout_ = headers.Layout(separator=separator)._replace(**layout)
  pieces = separated.pieces(
    io.StringIO(text, newline=""), "log.csv", layout_, SIZE
  )
  for numbers, columns, own in pieces:
    columns = [pa.array(column).to_pylist() for column in columns]
    good += zip(numbers, map(list, zip(*columns, strict=True)), strict=True)
    broken += own
  return good, broken


# The rows in which a quote is opened and not closed.
@pytest.mark.parametrize(
  "places",
  [(5, 30), (5, 6), (0, 199), (10,), (199,), (5, 30, 60), (3, 50, 51, 120)],
)
@pytest.mark.parametrize("field", ["user", "title", "action"])
def test_lines_inside_an_open_quote_are_counted(places, field):
  lines = log()
  for place in places:
    fields = lines[place].split(",")
    column = HEADER.split(",").index(field)
    fields[column] = f'"{fields[column]}'
    lines[place] = ",".join(fields)
  good, broken = read(lines)
  # No line is lost without a word.
  assert len(good) + sum(one.lines for one in broken) == 200
  for number, row in good:
    plain = lines[number - 2].replace('"', "").split(",")
    assert [value.strip() for value in row] == plain
  if broken:
    assert broken[0].row == places[0] + 2
  else:  # The last field of all.
    assert (field, places) == ("action", (199,))


@pytest.mark.parametrize("places", [(5, 30), (5, 6), (0, 199), (10,), (199,)])
def test_in_tabs_a_lone_quote_is_an_ordinary_character(places):
  lines = log()
  for place in places:
    lines[place] = lines[place].replace("Monitor", '"Monitor')
  good, broken = read(lines, "\t")
  assert not broken
  assert [row for _, row in good] == [line.split(",") for line in lines]
  assert [number for number, _ in good] == list(range(2, 202))


def test_a_balanced_quote_holds_separators_and_lines():
  lines = [
    'u1,"a, b",i1,1,click',
    'u1,"a ""b""",i1,2,click',
    'u1,"one\ntwo, three\n\nfour",i1,3,click',
    '"u\n1",x,i1,4,"click\nclick"',
    "u1,x,i1,5,click",
  ]
  for separator in (",", "\t", ";"):
    good, broken = read(lines, separator)
    assert not broken
    assert [number for number, _ in good] == [2, 3, 4, 8, 11]
    assert good[2][1][1] == f"one\ntwo{separator} three\n\nfour"
    assert good[3][1] == ["u\n1", "x", "i1", "4", "click\nclick"]


@pytest.mark.parametrize("seed", range(150))
def test_no_line_is_lost_or_changed_by_lone_quotes(seed):
  """Among titles that are quoted as they should be."""
  rng = random.Random(seed)
  separator, place = rng.choice([",", ";", "\t"]), rng.randrange(4)
  true = []
  for n in range(60):
    fields = [f"u{n % 7}", f"i{n % 5}", str(1650000000 + n)]
    fields.append(rng.choice(["click", "buy"]))
    titles = ("M", f'"M{separator} 2"', '"M ""24"" x"', '""', "")
    fields.insert(place, rng.choice(titles))
    true.append(separator.join(fields))
  lines = list(true)
  for n in rng.sample(range(59), rng.choice([1, 2, 3])):
    fields = lines[n].split(separator)
    at = rng.randrange(len(fields))
    lines[n] = separator.join(
      [*fields[:at], f'"{fields[at]}', *fields[at + 1 :]]
    )
  names = ["user", "item", "time", "action"]
  names.insert(place, "title")
  good, broken = read(lines, first=separator.join(names), separator=separator)
  assert len(good) + sum(one.lines for one in broken) == 60
  for number, row in good:
    (expected,) = csv.reader([true[number - 2]], delimiter=separator)
    del row[place], expected[place]
    assert [value.replace('"', "").strip() for value in row] == expected


text = st.text("ab 1,\"\n|é'", max_size=8)


@hypothesis.given(
  st.lists(st.tuples(text, text, st.integers(0, 9)), max_size=9)
)
def test_what_the_csv_module_writes_is_read_or_counted(rows):
  """Text of any kind; a row of numbers cannot be mistaken for prose."""
  out = io.StringIO(newline="")
  writer = csv.writer(out, lineterminator="\n")
  writer.writerows([("a", "b", "n"), *rows])
  good, _ = read(out.getvalue().splitlines(keepends=True), first="", joined="")
  expected = [[one, other, str(n)] for one, other, n in rows]
  kept = [row for _, row in good]
  for row in expected:
    if kept and row == kept[0]:
      kept.pop(0)
    else:
      assert "\n" in row[0] + row[1]
  assert not kept


@pytest.mark.parametrize(
  "separator", headers.SEPARATORS + headers.RARE_SEPARATORS
)
def test_the_separator_is_found_in_the_header(separator):
  line = HEADER.replace(",", separator)
  assert headers.separator_of(line, "f", headers.Layout()) == separator
  assert headers.header([line], "f", headers.Layout()) == HEADER.split(",")


@pytest.mark.parametrize(
  ("line", "expected", "separator"),
  [
    ("user;item;a,b,c,d", ("user", "item"), ";"),
    ('user;"item";a, b, c', ("user", "item"), ";"),
    ("user id\titem id", ("user id", "item id"), "\t"),
    ("item id", ("item id",), ","),
    ("user id,item id", ("user", "item"), ","),
    ("user:item,price", ("uid", "sku"), ","),
  ],
)
def test_expected_names_decide_between_separators(line, expected, separator):
  layout = headers.Layout(columns=expected)
  assert headers.separator_of(line, "f", layout) == separator


@pytest.mark.parametrize(
  ("line", "separator"),
  [
    ("1;2,5;3", ";"),
    ("u1 i1 2019-10-01", " "),
    ("u1:i1:8", ":"),
  ],
)
def test_given_names_decide_between_separators(line, separator):
  names = ("user", "item", "time", "price")[: line.count(separator) + 1]
  layout = headers.Layout(header=names)
  assert headers.separator_of(line, "f", layout) == separator


@pytest.mark.parametrize(
  ("line", "names"),
  [
    ("1;2,5;3,5;7,5", "abcd"),
    ("u1 i1 2019-10-01T00:00:00", "abc"),
    ("a;b,c", ""),
  ],
)
def test_an_ambiguous_separator_is_refused(line, names):
  layout = headers.Layout(header=tuple(names))
  with pytest.raises(ValueError, match=r"row 1 of f may be separ.* '.' or"):
    headers.header([line], "f", layout)


@pytest.mark.parametrize(
  "line",
  [
    "1,2268318,2520377,pv,1511544070",
    "u1,i1,click,1650000026",
    "u1,i1,click,2019-10-01 00:00:00 UTC",
    "1,2,3",
    "1;2;3.5",
    "196\t242\t3\t881250949",
  ],
)
def test_a_header_that_looks_like_data_is_refused(line):
  with pytest.raises(ValueError, match=r"row 1 of f looks like data.*header="):
    headers.header([line], "f", headers.Layout())


@pytest.mark.parametrize(
  "line", ["user,item", "user,item,0,1,2", "User ID, Item ", "user,2021"]
)
def test_a_header_may_have_numbers(line):
  names = headers.header([line], "f", headers.Layout())
  assert names == [name.strip() for name in line.split(",")]


def test_a_header_may_be_given():
  names = ("user", "item", "category", "action", "time")
  lines = ["1,2268318,2520377,pv,1511544070", "1,2333346,2520771,pv,1511561733"]
  layout = headers.Layout(header=names)
  assert headers.header(lines, "f", layout) == [*names]
  for header in ("", ",".join(names)):  # Named again, it is not data.
    good, broken = read(lines, ",", header, header=names)
    assert [row for _, row in good] == [line.split(",") for line in lines]
    assert good[0][0] == 1 + bool(header)
    assert not broken
  with pytest.raises(
    ValueError, match="header has 2 names and row 1 of f has 5"
  ):
    headers.header(lines, "f", headers.Layout(header=("user", "item")))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_that_comes_again_is_not_a_row(mark):
  lines = [*log(3), mark + HEADER, *log(2)]
  good, broken = read(lines)
  assert len(good) == 5
  assert [(one.row, one.reason) for one in broken] == [(5, separated.REPEATED)]


def test_a_field_without_end_is_named(monkeypatch):
  monkeypatch.setattr(separated, "FIELD_SIZE", 1000)
  lines = log()
  lines[7] = lines[7].replace("Monitor", '"Monitor')
  with pytest.raises(
    ValueError, match="a quote opens in row 9 and is not closed"
  ):
    read(lines)
