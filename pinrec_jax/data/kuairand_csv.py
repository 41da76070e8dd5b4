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
SURFACES = 15  # values of `tab`
ROWS = 2**19  # read at once
# A tag alone looks like a number, several do not.
TEXTS: Any = dict.fromkeys(("video_type", "upload_type", "tag"), "category")


def _names(variant: str) -> tuple[str, ...]:
  """Returns the files of "1k" or "pure", the oldest log first."""
  logs = (f"log_standard_{period}_{variant}.csv" for period in PERIODS)
  return (*logs, f"video_features_basic_{variant}.csv")


# The sums are those that https://github.com/chongminggao/KuaiRand states.
ARCHIVES = {
  "1k": archives.Archive(
    f"{SITE}/KuaiRand-1K.tar.gz",
    _names("1k"),
    md5="6b0b9c8222d67fcd4c676218edca3f1f",
  ),
  "pure": archives.Archive(
    f"{SITE}/KuaiRand-Pure.tar.gz",
    _names("pure"),
    md5="0820331067a3784d9691136f772b35a7",
  ),
}


def _events(path: pathlib.Path, actions: tuple[str, ...]) -> pd.DataFrame:
  """Returns a log, `time` in milliseconds, at some 30 bytes a row.

  Raises:
    ValueError: on a surface that there is not.
  """
  columns = ("user_id", "video_id", "time_ms", "tab", *actions)
  kinds: Any = dict.fromkeys(columns, np.int64)
  parts = []
  # Told which columns to use, pandas lets rows of too many fields pass.
  with pd.read_csv(path, dtype=kinds, chunksize=ROWS) as chunks:
    for chunk in chunks:
      if not (known := chunk["tab"].between(0, SURFACES - 1)).all():
        raise ValueError(
          f"tab {chunk['tab'][~known].iloc[0]} is none of 0 to {SURFACES - 1}"
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
  # Few rows share even these, and only they are compared as a whole.
  alike = log.duplicated(["user", "item", "time"], keep=False).to_numpy()
  again[alike] = log[alike].duplicated()
  return again


def read(
  source: pathlib.Path, variant: str, actions: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame, row_errors.RowErrors]:
  """Returns the standard log by user and time, its videos, and the faults.

  The log of randomly shown videos is left out: nobody chose them, and they
  would be read as part of a history that the recommender made. Rows of one
  millisecond keep the files' order. The videos are those of this log alone,
  as what no event shows can neither be read nor be a target.

  Args:
    source: a folder with the files.
    variant: "1k" or "pure".
    actions: the columns of the log that say what was done.

  Raises:
    FileNotFoundError: if a file is missing.
    KeyError: if a column is.
    ValueError: if a file is corrupt.
  """
  *logs, videos = (source / name for name in _names(variant))
  events = functools.partial(_events, actions=actions)
  log = pd.concat(
    [tfds_builder.read(p, events) for p in logs], ignore_index=True
  )
  again, faults = _again(log), row_errors.RowErrors(len(log))
  faults.add("duplicate", int(again.sum()), [])
  log = log[~again]
  log = log.iloc[np.lexsort((log["time"], log["user"]))]
  log = log.assign(time=log["time"] // 1000, long_watch=False)
  items = tfds_builder.read(videos, functools.partial(pd.read_csv, dtype=TEXTS))
  return log, items.loc[items["video_id"].isin(log["item"])], faults
