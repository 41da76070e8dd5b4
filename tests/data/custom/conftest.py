"""Tiny custom logs as files."""

import json

import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import row_errors


@pytest.fixture
def custom(tmp_path):
  """Returns the function from files to a configuration.

  Events and items are text, or rows for JSON lines.
  """

  def written(events, items=None, ending="", **fields):
    ending = ending or (".csv" if isinstance(events, str) else ".jsonl")
    path = tmp_path / f"events{ending}"
    path.write_text(_text(events), encoding="utf-8")
    data = config_lib.Data(
      name="custom_log",
      events=str(path),
      prepared_dir=str(tmp_path / "prepared"),
    )
    if items is not None:
      path = tmp_path / f"items{'.csv' if isinstance(items, str) else '.jsonl'}"
      path.write_text(_text(items), encoding="utf-8")
      data.items = str(path)
    data.max_bad_fraction = fields.pop("max_bad", 0.0)
    for name, value in fields.items():
      setattr(data.custom, name, value)
    return data

  return written


def _text(rows):
  if isinstance(rows, str):
    return rows
  lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
  return "\n".join(lines)


@pytest.fixture
def load(custom):
  """Returns the function from files to a log and its row report."""

  def loaded(*args, **fields):
    dataset = dataset_lib.load(custom(*args, **fields))
    return dataset, row_errors.load(dataset.folder)

  return loaded


@pytest.fixture
def shown():
  """Returns the function from a log to each user's item ids and times."""

  def of(dataset):
    return {
      user: list(
        zip(
          dataset.items.ids[events.item].tolist(),
          events.time.tolist(),
          strict=True,
        )
      )
      for user, events in zip(dataset.users, dataset.events, strict=True)
    }

  return of
