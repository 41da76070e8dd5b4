"""The processes of a run: joining them, and naming those that are missing."""

import contextlib
import logging as std_logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import jax
from absl import logging

# The address of process 0, the number of processes, and the process's number.
ENVIRONMENT = (
  "JAX_COORDINATOR_ADDRESS",
  "JAX_NUM_PROCESSES",
  "JAX_PROCESS_ID",
)
JOIN_SECONDS = 600  # Until all processes must have come.
RETRY_SECONDS = 0.2  # Between attempts to reach process 0.
GRACE_SECONDS = 2  # For a message on its way.
LINGER_SECONDS = 3  # For which process 0 outlives the others.


def join(seconds: int = JOIN_SECONDS) -> None:
  """Joins the run that the environment names, if it names one.

  JAX_COORDINATOR_ADDRESS is HOST:PORT of process 0. JAX_NUM_PROCESSES is the
  number of processes, and JAX_PROCESS_ID is the number of this one. Every line
  of the log then starts with the process that wrote it. A second call does
  nothing.

  Args:
    seconds: time to wait for the other processes.

  Raises:
    ValueError: if the address is set and another variable is missing or
      invalid.
    TimeoutError: naming the processes that did not come.
  """
  named = _named()
  if named is None or jax.distributed.is_initialized():
    return
  address, processes, process = named
  host, _, port = address.rpartition(":")
  logging.get_absl_handler().setFormatter(_Prefixed(label(process, processes)))
  deadline = time.monotonic() + seconds
  if process == 0:
    missing = _wait_for_all(int(port), processes, deadline)
  else:
    missing = _report(host.strip("[]"), int(port), process, deadline)
  if missing:
    raise TimeoutError(
      f"process {missing} did not come within {seconds} seconds; see its own "
      "log, then start all processes again"
    )
  jax.distributed.initialize(address, processes, process)


def is_spare() -> bool:
  """Whether this process has nothing to do in a mode of a single process.

  It says so. The first process then works alone and waits for nobody.

  Raises:
    ValueError: as `join`.
  """
  named = _named()
  if named is None or named[2] == 0:
    return False
  print(
    f"{label(named[2], named[1])}nothing to do; process 0 answers",
    file=sys.stderr,
  )
  return True


def _named() -> tuple[str, int, int] | None:
  """Returns what the environment says of the run's processes.

  Returns:
    The address of process 0, the number of processes, and the number of this
    one. None if the environment names no run.

  Raises:
    ValueError: if the address is set and a variable is missing or invalid.
  """
  coordinator, *numbers = ENVIRONMENT
  address = os.environ.get(coordinator)
  if not address:
    return None
  host, _, port = address.rpartition(":")
  if not host or not port.isdigit():
    raise ValueError(
      f"{coordinator} is {address!r}; use HOST:PORT of process 0"
    )
  for name in numbers:
    if not os.environ.get(name, "").isdigit():
      raise ValueError(
        f"{coordinator} is {address!r} and {name} is "
        f"{os.environ.get(name)!r}; set it to a whole number"
      )
  processes, process = (int(os.environ[name]) for name in numbers)
  if process >= processes:
    raise ValueError(
      f"{numbers[1]} is {process}; number the {processes} processes of "
      f"{numbers[0]} from 0"
    )
  return address, processes, process


def label(process: int | None = None, processes: int | None = None) -> str:
  """Returns the prefix of a process's lines; empty for a single process."""
  if processes is None:
    if not jax.distributed.is_initialized():
      return ""
    process, processes = jax.process_index(), jax.process_count()
  return f"[process {process} of {processes}] "


@contextlib.contextmanager
def together() -> Iterator[None]:
  """Ends this process with an error as soon as another process has ended.

  JAX would wait for the other process for minutes and then abort.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if jax.process_count() == 1:
      raise
    fail(
      "another process has ended or cannot be reached; see its own log. Start "
      f"all processes again to continue from the last checkpoint. ({error})"
    )


def fail(message: object) -> NoReturn:
  """Ends this process with an error and status 1.

  It does not wait for other processes, which may wait for this one. Process 0
  ends last, since JAX aborts the others without it.
  """
  text = f"{label()}error: {message}"
  if not jax.distributed.is_initialized():
    sys.exit(text)
  print(text, file=sys.stderr, flush=True)
  sys.stdout.flush()
  if jax.process_index() == 0:
    time.sleep(LINGER_SECONDS)
  os._exit(1)


class _Prefixed(logging.PythonFormatter):
  """Writes a prefix before every line of the log."""

  def __init__(self, prefix: str):
    super().__init__()
    self._prefix = prefix

  def format(self, record: std_logging.LogRecord) -> str:
    """Returns the line of a record."""
    return self._prefix + super().format(record)


def _wait_for_all(port: int, processes: int, deadline: float) -> str:
  """Waits on process 0 for the others; returns the numbers of missing ones.

  Each other process sends its number and gets the missing ones as the answer.
  JAX's own start would abort without naming them.
  """
  came: dict[int, socket.socket] = {}
  with contextlib.ExitStack() as connections:
    server = connections.enter_context(_server(port))
    while len(came) < processes - 1:
      left = deadline - time.monotonic()
      if left <= 0:
        break
      with contextlib.suppress(
        OSError, ValueError
      ):  # A time-out or a stranger.
        server.settimeout(left)
        connection = connections.enter_context(server.accept()[0])
        connection.settimeout(GRACE_SECONDS)
        with connection.makefile() as lines:
          came[int(lines.readline())] = connection
    server.close()
    missing = ", ".join(str(n) for n in range(1, processes) if n not in came)
    for connection in came.values():
      with contextlib.suppress(OSError):
        connection.sendall(f"{missing}\n".encode())
        connection.recv(1)  # The other side closes first, which frees the port.
  return missing


def _server(port: int) -> socket.socket:
  """Returns a listening socket, for IPv6 and IPv4 if possible."""
  both = socket.has_dualstack_ipv6()
  family = socket.AF_INET6 if both else socket.AF_INET
  try:
    return socket.create_server(("", port), family=family, dualstack_ipv6=both)
  except OSError as error:
    raise OSError(
      f"process 0 cannot listen on port {port} of {ENVIRONMENT[0]}: {error}; "
      "end the program that uses the port, or choose another port"
    ) from error


def _report(host: str, port: int, process: int, deadline: float) -> str:
  """Tells process 0 that this one has come; returns the missing processes."""
  while (left := deadline - time.monotonic()) > 0:
    with (
      contextlib.suppress(OSError),  # Process 0 does not listen yet.
      socket.create_connection((host, port), timeout=left) as connection,
    ):
      connection.settimeout(left + GRACE_SECONDS)
      connection.sendall(f"{process}\n".encode())
      with connection.makefile() as lines:
        if answer := lines.readline():
          return answer.strip()
    time.sleep(RETRY_SECONDS)
  return "0"
