import pytest

from pinrec_jax.inference import bundle, requests


@pytest.fixture
def retriever(small, untrained):
  """A retriever of the small configuration."""
  return untrained(small)


@pytest.fixture
def saved(small, untrained, tmp_path):
  """Returns the function that writes the bundle of a kind of index."""

  def of_kind(kind="exact"):
    small.index.kind = kind
    return bundle.save(untrained(small).bundle, tmp_path / "bundles")

  return of_kind


@pytest.fixture
def read(small, untrained):
  """Returns the function from events and other fields to a request.

  It builds a new retriever, so a test may change `small` before each call.
  """

  def of_events(events, **fields):
    reader = untrained(small).reader
    given = {"user": "u", "events": events, **fields}
    found = reader.read(given, "line 3", reader.defaults())
    assert isinstance(found, requests.Request), found
    return found

  return of_events


@pytest.fixture
def refused(small, untrained):
  """Returns the function from anything to the error that answers it."""

  def of_given(given, name="line 3"):
    reader = untrained(small).reader
    found = reader.read(given, name, reader.defaults())
    assert not isinstance(found, requests.Request), found
    return found

  return of_given
