"""Memory that a server gives back to the system."""

import ctypes

# Options of mallopt, of glibc's malloc.h, and their values.
OPTIONS = {
  # Heaps. Usually every thread has one of its own.
  -8: 2,  # M_ARENA_MAX
  # Arrays of this many bytes lie outside the heaps, where they leave no gaps.
  -3: 256 * 1024,  # M_MMAP_THRESHOLD
}


def keep_small() -> None:
  """Stops the heaps from growing with every bundle that is loaded.

  Call it before threads start. It does nothing without glibc.
  """
  for option, value in OPTIONS.items():
    _call("mallopt", option, value)


def give_back() -> None:
  """Gives free memory back to the system; glibc keeps it."""
  _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
  function = getattr(ctypes.CDLL(None), name, None)
  if function is not None:
    function(*arguments)
