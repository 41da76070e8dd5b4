"""What reaches the terminal: lines of this package, and errors of libraries."""

import logging as std_logging
import pathlib

from absl import logging

PACKAGE = str(pathlib.Path(__file__).parent)


class _Plain(logging.PythonFormatter):
  def format(self, record: std_logging.LogRecord) -> str:
    """Returns the message alone if a line is the package's own."""
    return record.getMessage() if _own(record) else super().format(record)


def _own(record: std_logging.LogRecord) -> bool:
  return record.pathname.startswith(PACKAGE)


def quiet() -> None:
  """Shows the package's own lines, and errors of libraries, and nothing else.

  Orbax, JAX and TFDS log many lines that no user can act on.
  """
  handler = logging.get_absl_handler()
  handler.setFormatter(_Plain())
  handler.addFilter(
    lambda record: _own(record) or record.levelno >= std_logging.ERROR
  )
  logging.set_verbosity(logging.INFO)
