"""The tables of KuaiRand-1K and KuaiRand-Pure as their authors publish them."""

import functools
import pathlib
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from pinrec_jax.data import archives, row_errors, tfds_builder

SITE = "https://zenodo.org/records/10439422/files"
PERIODS = ("4_08_to_4_21", "4_22_to_5_08")
SURFACES = 15  # Number of values of `tab`.
ROWS = 2**19  # Rows that are read at once.
# A single tag would be read as a number and several tags as text.
TEXTS: Any = dict.fromkeys(("video_type", "upload_type", "tag"), "category")


def _names(variant: str) -> tuple[str, ...]:
  """Returns the files of "1k" or "pure", the oldest log first."""
  logs = (f"log_standard_{period}_{variant}.csv" for period in PERIODS)
  return (*logs, f"video_features_basic_{variant}.csv")


# The checksums are those of https://github.com/chongminggao/KuaiRand.
ARCHIVES = {
  "1k": archives.Archive(
    f"{SITE}/KuaiRand-1K.tar.gz",
    _names("1k"),
    "md5:6b0b9c8222d67fcd4c676218edca3f1f",
  ),
  "pure": archives.Archive(
    f"{SITE}/KuaiRand-Pure.tar.gz",
    _names("pure"),
    "md5:0820331067a3784d9691136f772b35a7",
  ),
}


def _events(path: pathlib.Path, actions: tuple[str, ...]) -> pd.DataFrame:
  """Returns a log, `time` in milliseconds, in about 30 bytes a row.

  Raises:
    ValueError: on an unknown surface.
  """
  columns = ("user_id", "video_id", "time_ms", "tab", *actions)
  kinds: Any = dict.fromkeys(columns, np.int64)
  parts = []
  # With `usecols`, pandas would accept rows with too many fields.
  with pd.read_csv(path, dtype=kinds, chunksize=ROWS) as chunks:
    for chunk in chunks:
      if not (known := chunk["tab"].between(0, SURFACES - 1)).all():
        raise ValueError(
          f"tab is {chunk['tab'][~known].iloc[0]}, not between 0 and "
          f"{SURFACES - 1}"
        )
      part = {
        "user": chunk["user_id"].astype(np.int32),
        "item": chunk["video_id"].astype(np.int32),
        "time": chunk["time_ms"],
        "surface": (chunk["tab"] + 1).astype(np.int8),
      }
      part |= {name: chunk[name] != 0 for name in actions}
      parts.append(pd.DataFrame(part))
  return pd.concat(parts, ignore_index=True)


def _again(log: pd.DataFrame) -> Bool[np.ndarray, "_"]:
  """Returns which rows are a copy of an earlier one."""
  again = np.zeros(len(log), bool)
  # Few rows share these columns, and only those rows are compared as a whole.
  alike = log.duplicated(["user", "item", "time"], keep=False).to_numpy()
  again[alike] = log[alike].duplicated()
  return again


def read(
  source: pathlib.Path, variant: str, actions: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame, row_errors.RowErrors]:
  """Returns the standard log by user and time, its videos, and row errors.

  The log of randomly shown videos is left out, because the recommender did not
  choose them. Rows of the same millisecond keep the order of the files. Only
  the videos of this log are returned.

  Args:
    source: a folder with the files.
    variant: "1k" or "pure".
    actions: the columns of the log that are actions.

  Raises:
    FileNotFoundError: if a file is missing.
    KeyError: if a column is missing.
    ValueError: if a file is corrupt.
  """
  *logs, videos = (source / name for name in _names(variant))
  events = functools.partial(_events, actions=actions)
  log = pd.concat(
    [tfds_builder.read(p, events) for p in logs], ignore_index=True
  )
  again, errors = _again(log), row_errors.RowErrors(len(log))
  errors.drop("duplicate", int(again.sum()))
  log = log[~again]
  log = log.iloc[np.lexsort((log["time"], log["user"]))]
  log = log.assign(time=log["time"] // 1000, long_watch=False)
  items = tfds_builder.read(videos, functools.partial(pd.read_csv, dtype=TEXTS))
  return log, items.loc[items["video_id"].isin(log["item"])], errors
