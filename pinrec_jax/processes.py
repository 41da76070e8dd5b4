"""The processes that run one program together: who they are, that all came."""

import contextlib
import logging as std_logging
import os
import socket
import sys
import time
from collections.abc import Iterator

import jax
from absl import logging

# Where process 0 listens, how many there are, which this is.
ENVIRONMENT = (
  "JAX_COORDINATOR_ADDRESS",
  "JAX_NUM_PROCESSES",
  "JAX_PROCESS_ID",
)
ALL_HERE = b"all are here\n"
RETRY = 0.2  # seconds between attempts to reach process 0
JOIN_SECONDS = 600  # Until all processes must have come.
LINGER = 3  # seconds for which process 0 outlives the others


def join(seconds: int = JOIN_SECONDS) -> None:
  """Joins the run that the environment names, if it names one, once.

  JAX_COORDINATOR_ADDRESS is HOST:PORT of process 0; JAX_NUM_PROCESSES and
  JAX_PROCESS_ID say how many there are and which this is. From then on every
  line of the log says which process wrote it.

  Args:
    seconds: to wait for the others.

  Raises:
    ValueError: if the address is set and one of the numbers is not, or none of
      the run's.
    TimeoutError: naming the processes that did not come.
  """
  coordinator, *numbers = ENVIRONMENT
  address = os.environ.get(coordinator)
  if not address or jax.distributed.is_initialized():
    return
  for name in numbers:
    if not os.environ.get(name, "").isdigit():
      raise ValueError(
        f"{coordinator} is {address!r} but {name} is "
        f"{os.environ.get(name)!r}; set it to a whole number"
      )
  processes, process = (int(os.environ[name]) for name in numbers)
  if process >= processes:
    raise ValueError(
      f"{numbers[1]} is {process}; number the {processes} processes of "
      f"{numbers[0]} from 0"
    )
  logging.get_absl_handler().setFormatter(_Prefixed(label(process, processes)))
  _roll_call(address, processes, process, seconds)
  jax.distributed.initialize(address, processes, process)


def label(process: int | None = None, processes: int | None = None) -> str:
  """Returns how a process begins its lines; nothing if it is alone."""
  if processes is None:
    if not jax.distributed.is_initialized():
      return ""
    process, processes = jax.process_index(), jax.process_count()
  return f"[process {process} of {processes}] "


@contextlib.contextmanager
def together() -> Iterator[None]:
  """Ends the program at once, saying why, if another process has ended.

  JAX would wait for that one for minutes and then abort. Process 0 goes last,
  since JAX aborts the others without it.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if jax.process_count() == 1:
      raise
    print(
      f"{label()}error: another process has ended, or the way to it; its own "
      "log says why. Start all of them again: the run goes on from its last "
      f"checkpoint. ({error})",
      file=sys.stderr,
      flush=True,
    )
    if jax.process_index() == 0:
      time.sleep(LINGER)
    os._exit(1)


class _Prefixed(logging.PythonFormatter):
  def __init__(self, prefix: str):
    super().__init__()
    self._prefix = prefix

  def format(self, record: std_logging.LogRecord) -> str:
    """Returns a record's line behind the prefix."""
    return self._prefix + super().format(record)


def _roll_call(
  address: str, processes: int, process: int, seconds: int
) -> None:
  """Returns once every process has come, or tells each who has not.

  JAX's own start aborts the program when one is missing and does not say
  which. So process 0 first listens where JAX will, and counts.
  """
  host, _, port = address.rpartition(":")
  if not host or not port.isdigit():
    raise ValueError(
      f"{ENVIRONMENT[0]} is {address!r}; give HOST:PORT of process 0"
    )
  deadline = time.monotonic() + seconds
  if process == 0:
    answer = _count(int(port), processes, deadline)
  else:
    answer = _report(host.strip("[]"), int(port), process, deadline)
  if answer != ALL_HERE:
    raise TimeoutError(
      f"{answer.decode().strip()} within {seconds} seconds; "
      "see its own log, then start all of them again"
    )


def _count(port: int, processes: int, deadline: float) -> bytes:
  """Waits for the others on process 0 and tells each what came of it."""
  here: dict[int, socket.socket] = {}
  with contextlib.ExitStack() as until_told:
    server = until_told.enter_context(_server(port))
    while len(here) < processes - 1 and time.monotonic() < deadline:
      with contextlib.suppress(OSError, ValueError):  # a stranger called
        server.settimeout(max(deadline - time.monotonic(), RETRY))
        connection = until_told.enter_context(server.accept()[0])
        connection.settimeout(10 * RETRY)
        with connection.makefile() as told:
          here[int(told.readline())] = connection
    missing = [str(n) for n in range(1, processes) if n not in here]
    absent = f"process {', '.join(missing)} did not come\n".encode()
    answer = absent if missing else ALL_HERE
    server.close()
    for connection in here.values():
      with contextlib.suppress(OSError):
        connection.sendall(answer)
        connection.recv(1)  # the caller hangs up first, which frees the port
  return answer


def _server(port: int) -> socket.socket:
  both = socket.has_dualstack_ipv6()
  family = socket.AF_INET6 if both else socket.AF_INET
  try:
    return socket.create_server(("", port), family=family, dualstack_ipv6=both)
  except OSError as error:
    raise OSError(
      f"process 0 cannot listen on port {port} of {ENVIRONMENT[0]}: {error}; "
      "end what uses it or choose another"
    ) from error


def _report(host: str, port: int, process: int, deadline: float) -> bytes:
  """Tells process 0 that this one has come, and returns the answer."""
  while True:
    left = max(deadline - time.monotonic(), RETRY)
    try:
      with (
        socket.create_connection((host, port), timeout=left) as connection,
        connection.makefile("rb") as told,
      ):
        connection.settimeout(left + 10 * RETRY)
        connection.sendall(f"{process}\n".encode())
        answer = told.readline()
      if answer:
        return answer
    except OSError:  # not there yet
      pass
    if time.monotonic() > deadline:
      return b"process 0 did not come"
    time.sleep(RETRY)
