"""Ids of users and items as text."""

import decimal
import re

import numpy as np

# Texts that mean a missing value, in lower case.
MISSING = frozenset(
  (
    "", "nan", "-nan", "null", "(null)", "na", "n/a", "#n/a", "<na>", "none",
    "undefined", "\\n",
  )
)  # fmt: skip
LONGEST = max(map(len, MISSING))
_WHOLE = re.compile(r"-?\d+\.0*")


def id_text(value: object) -> str:
  """Returns an id as text; "" if it is missing.

  Logs, item tables and requests write the same id in different ways. The values
  4214, 4214.0, Decimal("4214.00"), b"4214", "4214.0" and " 4214" are one id.
  The values None, NaN, "", "NULL" and the other texts of MISSING are missing.
  """
  text = value.strip() if isinstance(value, str) else _written(value)
  if len(text) <= LONGEST and text.lower() in MISSING:
    return ""
  if "." in text and _WHOLE.fullmatch(text):
    text = text.partition(".")[0]
  return text


def _written(value: object) -> str:
  """Returns a value that is not text as it is written."""
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, bytes):
    try:
      value = value.decode().strip()
    except UnicodeDecodeError:  # Such as the 16 bytes of a UUID.
      value = value.hex()
  if isinstance(value, float | decimal.Decimal) and value % 1 == 0:
    value = int(value)
  return str(value)
