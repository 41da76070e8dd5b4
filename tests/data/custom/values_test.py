"""Values of any type become ids, times, numbers and lists."""

import datetime
import decimal
import math
import uuid

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from pinrec_jax.data import (
  identifiers,
)
from pinrec_jax.data.custom import values

NOON = 1_569_931_200  # 2019-10-01 12:00:00 UTC
KEY = uuid.UUID("3f2504e0-4f89-11d3-9a0c-0305e82c3301")


@pytest.mark.parametrize(
  "value",
  [
    3, 3.0, np.int64(3), np.float32(3), decimal.Decimal("3.00"), "3", " 3 ",
    "3.0", "3.00", "3.", b"3", np.str_("3"),
  ],
)  # fmt: skip
def test_whole_numbers_are_one_id(value):
  assert identifiers.id_text(value) == "3"


@pytest.mark.parametrize(
  "value",
  [
    None, float("nan"), np.nan, "", "  ", "nan", "NaN", "NULL", "null", "NA",
    "N/A", "None", "none", "<NA>", "\\N", "#N/A", "(null)", "undefined",
    "-nan", pd.NA, pd.NaT,
  ],
)  # fmt: skip
def test_missing_values_are_not_ids(value):
  assert identifiers.id_text(value) in ("", "NaT")


@pytest.mark.parametrize(
  ("value", "text"),
  [
    ("007", "007"), ("3.5", "3.5"), (3.5, "3.5"), ("1.0.2", "1.0.2"),
    (-7.0, "-7"), (-0.0, "0"), (2**63, str(2**63)), ("é", "é"),
    (b"\xc3\xa9", "é"),
    (KEY, str(KEY)), (KEY.bytes, KEY.hex), (math.inf, "inf"),
    ("banana", "banana"), ("Nana", "Nana"),
  ],
)  # fmt: skip
def test_other_ids_stay_as_they_are(value, text):
  assert identifiers.id_text(value) == text


KINDS = {
  pa.int64(): st.integers(-(2**63), 2**63 - 1),
  pa.uint64(): st.integers(0, 2**64 - 1),
  pa.int8(): st.integers(-128, 127),
  pa.float64(): st.floats(-1e15, 1e15),
  pa.float32(): st.floats(-1e5, 1e5, width=32),
  pa.string(): st.text(max_size=6),
  pa.large_string(): st.sampled_from(["1.0", "NA", "x", " y"]),
  pa.binary(): st.binary(max_size=4),
  pa.decimal128(9, 2): st.decimals(-999, 999, places=2),
  pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "1.0", ""]),
}


@hypothesis.given(st.data())
def test_a_column_of_ids_is_that_of_its_values(data):
  kind = data.draw(st.sampled_from([*KINDS]))
  given = data.draw(st.lists(st.none() | KINDS[kind], max_size=8))
  for column in (pa.array(given, kind), given):
    found, bad = values.ids(column)
    assert found.to_pylist() == [identifiers.id_text(value) for value in given]
    assert not bad.any()


def test_lists_objects_and_truths_are_not_ids():
  given = [{"id": "i1"}, [1, 2], ["u1"], True, "x", None, 7]
  found, bad = values.ids(given)
  assert bad.tolist() == [True, True, True, True, False, False, False]
  assert found.to_pylist()[4:] == ["x", "", "7"]
  for column in (
    pa.array(["['u1']", '{"id": "i1"}', " [1, 2]", "[]", "{'a': 1}", "u\n1"]),
    pa.array([[1], [2, 3]]),
    pa.array([{"a": 1}, {"a": 2}]),
    pa.array([True, False]),
    pa.array([2.0**53, 1e17]),  # The last digits are lost.
  ):
    assert values.ids(column)[1].all()


@pytest.mark.parametrize(
  "text",
  [
    "2019-10-01 12:00:00", "2019-10-01T12:00:00Z", "2019-10-01 12:00:00 UTC",
    "2019-10-01 12:00:00 GMT", "2019-10-01 12:00:00UTC", "2019-10-01 12:00",
    "2019-10-01 12:00:00.000 UTC", "2019-10-01T12:00:00.123456789Z",
    "2019-10-01 14:00:00+02:00", "2019-10-01 14:00:00 +0200",
    "2019-10-01 12:00:00 +0000 UTC", "2019-10-01 13:00:00+01",
    "2019-10-01 20:00:00 UTC+8", "2019-10-01 08:30:00 GMT-03:30",
    "2019-10-01T12:00:00 UTC+0", "2019-10-01 17:30 UTC+0530",
    "20191001T120000Z",
    "2019/10/01 12:00:00", "Tue, 01 Oct 2019 12:00:00 GMT",
    "Tue Oct 01 12:00:00 +0000 2019", "1 Oct 2019 12:00",
    "2019-10-01 12:00:00 PM", "2019/10/1 12:00 pm",
    "Oct 1, 2019 12:00 PM",
    "1569931200", "1569931200.5", "1.5699312e9", "1569931200000",
    "1569931200000000", "1569931200000000000", "20191001120000",
  ],
)  # fmt: skip
def test_times_are_read(text):
  for column in (pa.array([text]), [text]):
    (found,) = values.seconds(column)
    assert math.floor(found) == NOON


@pytest.mark.parametrize(
  "column",
  [
    pa.array([NOON]), pa.array([NOON], pa.uint32()), pa.array([float(NOON)]),
    pa.array([NOON * 10**3]), pa.array([NOON * 10**6]),
    pa.array([NOON * 10**9]),
    pa.array([decimal.Decimal(NOON)]), pa.array([20191001120000]),
    pa.array([201910011200]), pa.array([datetime.datetime(2019, 10, 1, 12)]),
    pa.array([NOON], pa.timestamp("s", "Asia/Tokyo")),
    pa.array([NOON * 10**9], pa.timestamp("ns")), [NOON], [float(NOON)],
  ],
)  # fmt: skip
def test_times_of_any_type_are_read(column):
  assert values.seconds(column).tolist() == [NOON]


@pytest.mark.parametrize(
  "column",
  [
    pa.array([20191001, 20191231, 20200229]),
    pa.array(["20191001", "20191231", "20200229"]),
    pa.array(["2019-10-01", "2019-12-31", "2020-02-29"]),
    pa.array([datetime.date(2019, 10, 1), datetime.date(2019, 12, 31),
              datetime.date(2020, 2, 29)]),
    [20191001, 20191231, "20200229"],
  ],
)  # fmt: skip
def test_days_are_read(column):
  day = 86400
  first = NOON - day // 2
  assert values.seconds(column).tolist() == [
    first, first + 91 * day, first + 151 * day,
  ]  # fmt: skip


@pytest.mark.parametrize(
  "text",
  [
    "soon", "01/02/2023", "13/02/2023", "october", "May", "12:00", "nan", "inf",
    "2019-13-01", "2019-02-30", "2019-10-01 12:00:00 PST", "x2019",
    "2019-10-01 25:00", "yesterday 2019",
  ],
)  # fmt: skip
def test_times_that_are_ambiguous_or_wrong_are_not_read(text):
  assert np.isnan(values.seconds(pa.array([text]))).all()


@pytest.mark.parametrize(
  ("given", "texts"),
  [
    ([2019, 2020], ["2019-01-01", "2020-01-01"]),
    (["201910", "202002"], ["2019-10-01", "2020-02-01"]),
    ([2022.0, 1999.0], ["2022-01-01", "1999-01-01"]),
  ],
)
def test_years_and_months_are_read(given, texts):
  expected = values.seconds(pa.array(texts))
  np.testing.assert_array_equal(values.seconds(pa.array(given)), expected)


@pytest.mark.parametrize(
  "given", [[2019.5, 2020.5], [0, 100, 2019], [201913, 201999], [199, 2101]]
)
def test_other_numbers_are_not_years_or_months(given):
  np.testing.assert_array_equal(values.seconds(pa.array(given)), given)


def test_seconds_that_look_like_dates_are_not_dates():
  # Seconds from the start of a log, among which some look like 2000-01-01.
  given = np.arange(20_000_000, 20_010_000)
  np.testing.assert_array_equal(values.seconds(pa.array(given)), given)


@pytest.mark.parametrize("unit", [*values.UNITS])
def test_numbers_may_have_a_unit(unit):
  for column in (pa.array([0, 2, 7]), pa.array(["0", "2", "7"]), [0, 2, 7]):
    found = values.seconds(column, unit)
    assert found.tolist() == [0, 2 * values.UNITS[unit], 7 * values.UNITS[unit]]


@pytest.mark.parametrize(
  ("text", "found"),
  [
    ("click", ["click"]), ("click|save", ["click", "save"]), ("", []),
    ('["click", "save"]', ["click", "save"]), ("['a']", ["a"]), ("[]", []),
    ("[a, b", ["[a, b"]), ("[a b]", ["[a b]"]), (" a | b |", ["a", "b"]),
    (f"a|b{values.LIST}c", ["a|b", "c"]),
    ("[1, 2.0, null]", ["1", "2"]), ("['a' 'b']", ["a", "b"]),
    ("['a'\n 'b' 'c']", ["a", "b", "c"]), ('["a", {"b": 1}]', ["a"]),
    ("[1, 2.0]", ["1", "2"]),
  ],
)  # fmt: skip
def test_lists_are_split(text, found):
  assert values.split(text) == found


@pytest.mark.parametrize("text", ["[x]", "{a", "[a, b", "{x}", "a[1]", " u\n"])
def test_other_brackets_may_be_in_an_id(text):
  found, bad = values.ids(pa.array([text]))
  assert found.to_pylist() == [text.strip()]
  assert not bad.any()


def test_objects_are_not_texts():
  given = [{"a": 1}, [{"a": 1}], ["x", "y"], "x", None, 7]
  assert values.objects(given).tolist() == [True, True, *[False] * 4]
  assert values.objects(pa.array([{"a": 1}])).tolist() == [True]
  assert values.objects(pa.array([["x"], None])).tolist() == [False, False]
  assert values.texts(given).to_pylist()[:4] == ["", "", "x\x1fy", "x"]


def test_lists_of_any_type_are_text():
  for column in (
    pa.array([["a", "b"], [], None, ["c"]]),
    [["a", "b"], [], None, "c"],
  ):
    found = [values.split(text) for text in values.texts(column).to_pylist()]
    assert found == [["a", "b"], [], [], ["c"]]


@pytest.mark.parametrize(
  ("given", "true", "unclear"),
  [
    (pa.array([True, False, None]), [1, 0, 0], [0, 0, 0]),
    (pa.array([1.0, 0.0, 2.0]), [1, 0, 0], [0, 0, 1]),
    (pa.array(["Yes", "no", "maybe"]), [1, 0, 0], [0, 0, 1]),
    ([True, "FALSE", [1]], [1, 0, 1], [0, 0, 0]),
  ],
)
def test_flags_are_true_false_or_unclear(given, true, unclear):
  found = values.flags(given)
  assert [column.astype(int).tolist() for column in found] == [true, unclear]


def test_numbers_that_cannot_be_read_are_missing():
  given = ["1", " 2.5 ", "—", "NULL", "", "1e3", "inf", "12,50", None, "-4"]
  expected = [1, 2.5, np.nan, np.nan, np.nan, 1000, np.nan, np.nan, np.nan, -4]
  for column in (pa.array(given), given):
    np.testing.assert_array_equal(values.numbers(column), expected)
  np.testing.assert_array_equal(
    values.numbers(pa.array([1, None, 3])), [1, np.nan, 3]
  )
