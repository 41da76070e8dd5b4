"""Errors that a call is answered with."""


class RefusedError(Exception):
  """A call that is answered with an error.

  Attributes:
    status: HTTP status.
    headers: additional headers.
  """

  def __init__(self, status: int, message: str, **headers: str) -> None:
    super().__init__(message)
    self.status = status
    self.headers = {k.replace("_", "-"): v for k, v in headers.items()}
