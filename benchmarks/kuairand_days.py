"""KuaiRand-Pure as a custom log with one file a day, and its configuration."""

import datetime
import pathlib
import shutil

import numpy as np
import pandas as pd

from pinrec_jax import config as config_lib
from pinrec_jax import config_files
from pinrec_jax.data import splits

CONFIG = "configs/custom_log.py"
ACTIONS = (
  "is_click", "long_view", "is_like", "is_follow", "is_comment", "is_forward",
  "is_profile_enter", "long_watch",
)  # fmt: skip
SIGNAL = "is_hate"
FIRST, LAST = datetime.date(2022, 4, 25), datetime.date(2022, 5, 8)
ZONE = datetime.timezone(datetime.timedelta(hours=8))
LOG = "log_standard_4_25_to_5_08_pure.parquet"
HISTORY = "user_history_4_09_to_4_24_last50.parquet"
VIDEOS = "video_features_basic_pure.csv"
EARLIER = "earlier"  # File of the exposures without times.
STEPS = 2000  # Of a training from scratch.
ONE_DAY = datetime.timedelta(days=1)


def start(day: datetime.date) -> int:
  """Returns the unix second at which a day starts, in the zone of the log."""
  midnight = datetime.datetime.combine(day, datetime.time(), ZONE)
  return int(midnight.timestamp())


def days(first: datetime.date, last: datetime.date) -> list[datetime.date]:
  """Returns all days from the first to the last."""
  return [first + n * ONE_DAY for n in range((last - first).days + 1)]


def write(source: pathlib.Path, folder: pathlib.Path) -> None:
  """Writes the item table, one file a day, and a folder for each day's log.

  The folder `until/DAY` has the files of all days before DAY. So it holds what
  is known on the morning of DAY. A folder that was written before is kept.

  Args:
    source: folder of KuaiRand-Pure's files.
    folder: to write into.
  """
  if (folder / "until").is_dir():
    return
  parts = folder / "parts"
  parts.mkdir(parents=True, exist_ok=True)
  items(pd.read_csv(source / VIDEOS)).to_csv(folder / "items.csv", index=False)
  past = pd.read_parquet(source / HISTORY)
  earlier(past).to_parquet(parts / f"{EARLIER}.parquet", index=False)
  log = dated(pd.read_parquet(source / LOG))
  every = days(FIRST, LAST)
  # The log starts in the last hour before its first day.
  number = (log["time"] - start(FIRST)).clip(lower=0) // splits.DAY
  for n, day in enumerate(every):
    log[number == n].to_parquet(parts / f"{day}.parquet", index=False)
  unfinished = folder / "unfinished"
  shutil.rmtree(unfinished, ignore_errors=True)
  for day in [*every[1:], LAST + ONE_DAY]:
    own = unfinished / str(day)
    own.mkdir(parents=True)
    for path in parts.iterdir():
      if path.stem == EARLIER or path.stem < str(day):
        shutil.copy2(path, own)
  unfinished.rename(folder / "until")


def dated(log: pd.DataFrame) -> pd.DataFrame:
  """Returns the exposures of the standard log, which have times."""
  columns = {name: log[name] for name in (*ACTIONS[:-1], SIGNAL)}
  return pd.DataFrame(
    {
      "user": log["user_id"],
      "item": log["video_id"],
      "time": log["time_ms"] // 1000,
      "surface": "tab_" + log["tab"].astype(str),
      **columns,
      ACTIONS[-1]: 0,
    }
  )


def earlier(past: pd.DataFrame) -> pd.DataFrame:
  """Returns the exposures before the standard log, which have no times.

  A custom log needs times, so they are one second apart, in the order of the
  file, a day before the first day. The model does not read times of events. All
  ages of these targets are in its oldest bucket, and that is true.
  """
  place = np.concatenate([np.arange(len(own)) for own in past["watch_seq"]])
  table = pd.DataFrame(
    {
      "user": np.repeat(past["user_id"], past["watch_seq"].map(len)),
      "item": np.concatenate(past["watch_seq"].to_numpy()),
      "time": start(FIRST - ONE_DAY) + place,
      "surface": "unknown",
      **dict.fromkeys((*ACTIONS[:-1], SIGNAL), 0),
    }
  )
  for own, name in (("long_watch_seq", "long_watch"), ("like_seq", "is_like")):
    labelled = [
      np.isin(seen, some)
      for seen, some in zip(past["watch_seq"], past[own], strict=True)
    ]
    table[name] = np.concatenate(labelled).astype(int)
  return table


def items(videos: pd.DataFrame) -> pd.DataFrame:
  """Returns the item table; statistics of the videos are left out."""
  return pd.DataFrame(
    {
      "item": videos["video_id"],
      "item_type": videos["video_type"],
      "author": videos["author_id"],
      "upload_type": videos["upload_type"],
      "music": videos["music_id"],
      "music_type": videos["music_type"],
      "tag": videos["tag"].astype("string").str.replace(",", "|"),
      "log_seconds": np.log1p(videos["video_duration"] / 1000),
    }
  )


def configured(
  folder: pathlib.Path,
  prepared: pathlib.Path,
  day: datetime.date,
  trained: datetime.date,
  seed: int,
  steps: int = STEPS,
) -> config_lib.Config:
  """Returns the configuration of a run on the morning of a day.

  Args:
    folder: as for `write`.
    prepared: folder of prepared logs.
    day: all events before it are known.
    trained: day before which the training from scratch ends.
    seed: of the run.
    steps: of a training from scratch.
  """
  return config_lib.replace(
    config_files.read_config(CONFIG),
    **{
      "data.events": str(folder / "until" / str(day)),
      "data.items": str(folder / "items.csv"),
      "data.prepared_dir": str(prepared),
      "data.custom.actions": ",".join(ACTIONS),
      "data.custom.signals": SIGNAL,
      "data.custom.action": "",
      "data.custom.column_types": "log_seconds:number",
      "data.custom.validation_from": str(start(trained - ONE_DAY)),
      "data.custom.test_from": str(start(trained)),
      # As in configs/kuairand_pure.py, with sampled negatives and small
      # batches, because each seed trains on every day.
      "model.inputs": ("content",),
      "model.head": "state",
      "model.hidden_dim": 64,
      "model.embedding_dim": 64,
      "model.table_size": 8192,
      "train.steps": steps,
      "train.batch_size": 16,
      "train.eval_every": steps,
      "train.patience": 0,
      "train.train_on_validation": True,
      "train.seed": seed,
      # The newest hours matter: with six, recall@100 was 0.6 to 1.7 % lower on
      # two early days.
      "update.gate_hours": 1.0,
      "decode.budget": "long_view:0.8,is_click:0.2",
      "index.filter_seen": "engagements",
      "evals.cutoffs": (10, 100),
      "evals.sweep": (),
    },
  )
