"""Ways in which training ends before its last step."""


class RunStoppedError(Exception):
  """Training was stopped on request; its state is saved and can be resumed."""


class RunDivergedError(Exception):
  """A step cannot be used; the last good checkpoint stays.

  A loss or an item vector is not finite, or hash-table rows do not fit.
  """
