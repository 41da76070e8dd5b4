"""How a training may end before its last step."""


class RunStoppedError(Exception):
  """Training was asked to stop, saved its state, and can be resumed."""


class RunDivergedError(Exception):
  """The loss is not finite; the last good checkpoint is kept."""
