"""What reaches the terminal: lines of this package, and errors of libraries."""

import io
import logging as std_logging
import os
import pathlib
import sys

from absl import logging

PACKAGE = str(pathlib.Path(__file__).parent)


class _Plain(logging.PythonFormatter):
  def format(self, record: std_logging.LogRecord) -> str:
    """Returns the message alone if a line is the package's own."""
    return record.getMessage() if _own(record) else super().format(record)


def _own(record: std_logging.LogRecord) -> bool:
  return record.pathname.startswith(PACKAGE)


def use_utf8() -> None:
  """Starts the program again in UTF-8 if the locale has another encoding.

  Else libraries would not find files with other signs in their names.
  """
  encoding = sys.getfilesystemencoding().lower().replace("-", "")
  if encoding != "utf8" and "PYTHONUTF8" not in os.environ:
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, sys.orig_argv)


def quiet() -> None:
  """Shows the package's own lines, and errors of libraries, and nothing else.

  Orbax, JAX and TFDS log many lines that no user can act on. Signs that the
  terminal lacks are shown by their number.
  """
  handler = logging.get_absl_handler()
  handler.setFormatter(_Plain())
  handler.addFilter(
    lambda record: _own(record) or record.levelno >= std_logging.ERROR
  )
  logging.set_verbosity(logging.INFO)
  for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):  # Not so in a notebook.
      # A locale may lack the signs of an item's name.
      stream.reconfigure(errors="backslashreplace")
