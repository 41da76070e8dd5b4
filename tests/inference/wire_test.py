"""What can be written in a request, and how a mistake is named."""

import json

import numpy as np
import pytest

from pinrec_jax.inference import wire

NAN = float("nan")


@pytest.mark.parametrize(
  "value", [4214, 4214.0, "4214", " 4214 ", np.int32(4214), np.float64(4214)]
)
def test_an_id_is_the_same_however_it_is_written(value):
  fields = wire.decode({"user": value, "events": [{"item": value}]})
  assert fields.events is not None
  assert wire.id_text(fields.user, "user") == "4214"
  assert wire.id_text(fields.events[0].item, "item") == "4214"


@pytest.mark.parametrize(
  ("value", "problem"),
  [
    (NAN, "user is nan; give a number or a text"),
    (float("inf"), "user is inf"),
    ("", "user is empty; give an id"),
    ("  ", "user is empty"),
    ("\ud800", r"user is not UTF-8 text \(.*surrogates not allowed"),
    pytest.param(10**5000, r"not UTF-8 text \(Exceeds the limit", id="huge"),
  ],
)
def test_an_id_that_is_no_text_is_refused(value, problem):
  with pytest.raises(ValueError, match=problem):
    wire.id_text(value, "user")


def test_a_mapping_may_hold_numpy_values():
  given = {
    np.str_("user"): np.int64(7),
    "events": (
      {"item": np.uint8(3), "actions": np.array(["click"]), "time": 5.0},
    ),
    "offsets": np.array([-1, 60]),
    "budget": {"click": np.float32(1.0)},
    "candidates": np.int16(4),
  }
  plain = {
    "user": 7,
    "events": [{"item": 3, "actions": ["click"], "time": 5}],
    "offsets": [-1, 60],
    "budget": {"click": 1},
    "candidates": 4,
  }
  assert wire.decode(given) == wire.decode(plain)
  assert wire.decode(given) == wire.decode(json.dumps(plain))
  assert wire.decode(given) == wire.decode(json.dumps(plain).encode())


@pytest.mark.parametrize(
  ("text", "problem"),
  [
    ("{", r"not valid JSON .*write \{"),
    ("", "not valid JSON"),
    ('{"user": 1} x', r"not valid JSON .*trailing characters"),
    (b'{"user": "\xff"}', r"not valid JSON \(Invalid UTF-8"),
    ("[]", r"the request is \[\]: expected `object`, got `array`"),
    ("7", "the request is 7: expected `object`"),
    ("null", "the request is None: expected `object`"),
    (None, "it is None; give JSON text or a mapping"),
    (7, "it is 7; give JSON text or a mapping"),
    ('{"events": []}', r"missing required field `user`; write \{"),
    ('{"user": null}', "user is None: expected"),
    ('{"user": true}', "user is True: expected"),
    ({"user": b"u"}, "user is b'u': expected"),
    ('{"user": 1, "events": 7}', "events is 7: expected `array"),
    ('{"user": 1, "events": {"item": 7}}', "events is .*: expected `array"),
    ('{"user": 1, "contex": {}}', "unknown field `contex`; choose .*context"),
    ('{"user": 1, "steps": 2.5}', "steps is 2.5: expected `int"),
    ('{"user": 1, "steps": true}', "steps is True: expected `int"),
    ({"user": 1, "age": NAN}, "age is nan: expected `int"),
    ('{"user": 1, "age": NaN}', "age is nan: expected `int"),
    ('{"user": 1, "offsets": [0, 1e400]}', r"offsets\[1\] is inf: expected"),
    ('{"user": 1, "age": 1e999}', "age is inf: expected `int"),
    ('{"user": 1, "budget": {"a": "x"}}', r"budget is \{'a': 'x'\}: expected"),
    ('{"user": 1, "budget": [1]}', r"budget is \[1\]: expected"),
    (
      '{"user": 1, "events": [{"item": 1}, {"itm": 3}]}',
      r"events\[1\] is .*unknown field `itm`; choose from item, actions",
    ),
    ('{"user": 1, "events": [7]}', r"events\[0\] is 7: expected `object`"),
    ('{"user": 1, "events": [{}]}', r"events\[0\] is \{\}: .*field `item`"),
    (
      '{"user": 1, "events": [{"item": null}]}',
      r"events\[0\]\.item is None: expected",
    ),
    (
      '{"user": 1, "context": {"surface": "search"}}',
      "context is .*missing required field `item`",
    ),
    (
      '{"user": 1, "events": [{"item": 1, "actions": "click"}]}',
      r"events\[0\]\.actions is 'click': expected `array",
    ),
    (
      '{"user": 1, "events": [{"item": 1, "time": "soon"}]}',
      r"events\[0\]\.time is 'soon': expected `float",
    ),
    (
      '{"user": 1, "events": [{"item": 1, "shown_only": 2}]}',
      r"events\[0\]\.shown_only is 2: expected `bool",
    ),
    (
      '{"user": 1, "events": [{"item": 1, "features": ["t0"]}]}',
      r"events\[0\]\.features is \['t0'\]: expected `object",
    ),
    (
      '{"user": 1, "events": [{"item": 1, "features": {"a": [[1]]}}]}',
      r"events\[0\]\.features is \{'a': \[\[1\]\]\}: expected",
    ),
  ],
)
def test_a_mistake_is_named_with_its_field_and_value(text, problem):
  with pytest.raises(ValueError, match=problem):
    wire.decode(text)


def test_a_long_value_is_shortened_in_the_error():
  with pytest.raises(ValueError, match="budget") as error:
    wire.decode({"user": 1, "budget": ["x" * 10_000] * 1000})
  assert len(str(error.value)) < 400


def test_null_means_left_out():
  fields = dict.fromkeys(wire.RequestFields.__struct_fields__[1:])
  assert wire.decode({"user": 1, **fields}) == wire.decode({"user": 1})
  event = dict.fromkeys(wire.EventFields.__struct_fields__[1:])
  assert wire.decode(
    {"user": 1, "events": [{"item": 3, **event}]}
  ) == wire.decode({"user": 1, "events": [{"item": 3}]})


def test_deep_nesting_is_bounded():
  deep: dict = {}
  inner = deep
  for _ in range(100_000):
    inner["a"] = {}
    inner = inner["a"]
  text = '{"user": 1, "events": ' + "[" * 100_000
  for given in ({"user": 1, "budget": deep}, text, text + "]" * 100_000 + "}"):
    with pytest.raises((RecursionError, ValueError)):
      wire.decode(given)
  # The mapping above would be freed recursively.
  while deep:
    deep = deep.pop("a")


@pytest.mark.parametrize(
  "budget", ['{"click": 1, "click": 1}', '{"a": 0.5, "click": 0.1, "a": 0.4}']
)
def test_a_budget_names_each_outcome_once(budget):
  text = f'{{"user": "u", "events": [{{"item": "}}"}}], "budget": {budget}}}'
  for given in (text, text.encode()):
    with pytest.raises(ValueError, match=r"budget names '\w+' twice"):
      wire.decode(given)
  once = wire.decode('{"user": "u", "budget": {"a": 0.5, "click": 0.5}}')
  assert once.budget == {"a": 0.5, "click": 0.5}
