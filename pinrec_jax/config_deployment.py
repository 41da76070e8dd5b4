"""The sections of the configuration for the server and the daily update."""

from pinrec_jax.validation import (
  Fraction,
  LocalPath,
  NonNegativeInt,
  Port,
  PositiveFloat,
  PositiveInt,
  Section,
  Store,
  section,
)


@section
class Serve(Section):
  """The server, --mode=serve."""

  host: str = "127.0.0.1"  # Address to listen on. All others need a token.
  port: Port = 8000  # 0 picks a free port.
  # File that holds the token of all calls. Empty: the environment variable
  # PINREC_TOKEN, or no token.
  token_file: LocalPath = ""
  # Where events and changed items are stored: a file for one server, or an
  # address that several servers share, such as redis://HOST:6379/0. Empty:
  # store.sqlite in the work folder.
  store: Store = ""
  max_batch: PositiveInt = 32  # Requests of a batch.
  max_wait_ms: PositiveFloat = 2.0  # Time that a request waits for others.
  max_queue: PositiveInt = 1024  # Requests that wait; others get status 429.
  # Time for an answer. The header x-request-timeout of a call, in seconds,
  # may shorten it.
  deadline_ms: PositiveFloat = 2000.0
  max_candidates: PositiveInt = 500  # Longest list of a request.
  max_steps: PositiveInt = 4  # Most generation steps of a request.
  max_offsets: PositiveInt = 4  # Most offsets of a request.
  # Most items that a list leaves out: those that the user has seen, and those
  # that the request excludes.
  max_hidden: PositiveInt = 500
  max_events: PositiveInt = 512  # Events of a user that are stored or sent.
  max_body_kb: PositiveInt = 1024  # Size of a call.
  max_concurrent: PositiveInt = 1024  # Calls that are served at once.
  # Time for a call to arrive. A client that is slower is cut off.
  receive_seconds: PositiveFloat = 10.0
  # Time to finish open calls after SIGTERM.
  drain_seconds: PositiveFloat = 20.0
  # Time between two looks at the pointer to the current bundle. A bundle that
  # became current is then served. 0: only POST /v1/bundle changes the bundle.
  watch_seconds: NonNegativeInt = 0


@section
class Update(Section):
  """The daily update, --mode=update."""

  # Newest hours of the log. The new model is measured on them before it is
  # trained on them, which the next update does.
  gate_hours: PositiveFloat = 6.0
  # Publish the new model unless its recall is lower than that of yesterday's
  # model by more than this fraction of it.
  margin: Fraction = 0.05
  # Fraction of the training targets that are of earlier days.
  replay: Fraction = 0.3
  learning_rate: PositiveFloat = 5e-4  # Peak rate of a day's training.
