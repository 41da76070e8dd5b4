"""Ways in which training ends before its last step."""


class RunStoppedError(Exception):
  """Training was stopped on request; its state is saved and can be resumed."""


class RunDivergedError(Exception):
  """The loss is not finite; the last good checkpoint is kept."""
