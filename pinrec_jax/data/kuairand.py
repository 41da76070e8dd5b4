"""KuaiRand as TFDS data sets: the embedded excerpt, Pure and 1K.

Gao et al., CIKM 2022, doi:10.1145/3511808.3557624, CC BY-SA 4.0.
"""

import functools
import pathlib

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import (
  identifiers,
  kuairand_csv,
  records,
  row_errors,
  tfds_builder,
)

EMBEDDED = pathlib.Path(__file__).parent / "kuairand_mini"

OUTCOMES = (
  "is_click", "long_view", "is_like", "is_follow", "is_comment", "is_forward",
  "is_profile_enter",
)  # fmt: skip
# A dislike is not an engagement. The earlier exposures have the provider's own
# long-watch label instead of the official long_view.
ACTIONS = (*OUTCOMES, "is_hate", "long_watch")
MINI_BITS = (*OUTCOMES[:6], "is_hate", "is_profile_enter")
SURFACES = ("unknown", *(f"tab_{n}" for n in range(15)))

TEST_FROM = 1651334400  # 2022-05-01 00:00 UTC+8
VALIDATION_FROM = TEST_FROM - 86400
TAG_SLOTS = 3


def _excerpt(
  source: pathlib.Path,
) -> tuple[pd.DataFrame, pd.DataFrame, row_errors.RowErrors]:
  """Returns the log, the items and the row errors of the embedded layout."""
  log = tfds_builder.read(source / "events.parquet", pd.read_parquet)
  past = tfds_builder.read(source / "history.parquet", pd.read_parquet)
  bits = log["actions"].to_numpy()
  dated = pd.DataFrame(
    {
      "user": log["user_id"],
      "item": log["video_id"],
      "time": log["time_s"],
      "surface": log["tab"] + 1,
      **{name: bits >> bit & 1 for bit, name in enumerate(MINI_BITS)},
    }
  )
  flags = past["flags"].to_numpy()
  undated = pd.DataFrame(
    {
      "user": past["user_id"],
      "item": past["video_id"],
      "long_watch": flags & 1,
      "is_like": flags >> 1 & 1,
    }
  )
  items = tfds_builder.read(source / "items.csv.gz", pd.read_csv)
  log = pd.concat([undated, dated], ignore_index=True)
  return log, items, row_errors.RowErrors(len(log))


def _pure(
  source: pathlib.Path,
) -> tuple[pd.DataFrame, pd.DataFrame, row_errors.RowErrors]:
  """Returns the log, the items and the row errors of KuaiRand-Pure.

  The authors' CSV tables are read, unless the folder has the Parquet file of
  the last two weeks. That file comes with each user's 50 earlier exposures.
  """
  recent = source / "log_standard_4_25_to_5_08_pure.parquet"
  if not recent.is_file():
    return kuairand_csv.read(source, "pure", MINI_BITS)
  log = tfds_builder.read(recent, pd.read_parquet)
  again, errors = log.duplicated(), row_errors.RowErrors(len(log))
  errors.drop("duplicate", int(again.sum()))
  log = log[~again]
  past = tfds_builder.read(
    source / "user_history_4_09_to_4_24_last50.parquet", pd.read_parquet
  )
  dated = pd.DataFrame(
    {
      "user": log["user_id"],
      "item": log["video_id"],
      "time": log["time_ms"] // 1000,
      "surface": log["tab"] + 1,
      **{name: log[name] for name in MINI_BITS},
    }
  )
  undated = pd.DataFrame(
    {
      "user": np.repeat(past["user_id"], past["watch_seq"].map(len)),
      "item": np.concatenate(past["watch_seq"].to_numpy()),
    }
  )
  for label, name in (("long_watch", "long_watch"), ("like", "is_like")):
    flags = [
      np.isin(seen, labelled)
      for seen, labelled in zip(
        past["watch_seq"], past[f"{label}_seq"], strict=True
      )
    ]
    undated[name] = np.concatenate(flags)
  items = tfds_builder.read(
    source / "video_features_basic_pure.csv", pd.read_csv
  )
  errors.rows += len(undated)
  return pd.concat([undated, dated], ignore_index=True), items, errors


LAYOUTS = {
  "mini": _excerpt,
  "pure": _pure,
  "1k": functools.partial(kuairand_csv.read, variant="1k", actions=MINI_BITS),
}


def _features(items: pd.DataFrame) -> pd.DataFrame:
  """Returns the columns an item is described by; statistics are left out."""
  tags = items["tag"].astype("string").str.split(",", expand=True)
  duration = pd.Series(np.log1p(items["video_duration"] / 1000))
  standard = (duration - duration.mean()) / duration.std()
  return pd.DataFrame(
    {
      "item": items["video_id"],
      "author": items["author_id"],
      "upload_type": items["upload_type"],
      "music": items["music_id"],
      "music_type": items["music_type"],
      **{f"tag.{n}": tags[n] for n in tags.columns[:TAG_SLOTS]},
      "item_type": items["video_type"],
      "dense.log_seconds": standard.fillna(0.0),
      "dense.length_known": duration.notna().astype("float32"),
      "title": _titles(items),
    }
  )


def _titles(items: pd.DataFrame) -> list[str]:
  """Returns what the log says of each video, because videos have no titles."""
  columns = ("video_type", "video_duration", "tag", "author_id")
  found = []
  for kind, length, tag, author in zip(
    *(items[name] for name in columns), strict=True
  ):
    what = "ad" if kind == "AD" else "video"
    if not pd.isna(length):
      what = f"{length / 1000:.0f} s {what}"
    tags = "" if pd.isna(tag) else identifiers.id_text(tag)
    if tags:
      what += f", tag {tags.replace(',', ' and ')}"
    found.append(f"{what}, author {author}")
  return found


class Kuairand(tfds_builder.Builder):
  """KuaiRand, split by time; the log of randomly shown videos is left out."""

  VERSION = tfds.core.Version("1.3.0")
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name="mini", description="The embedded excerpt."),
    tfds.core.BuilderConfig(name="pure", description="KuaiRand-Pure."),
    tfds.core.BuilderConfig(name="1k", description="KuaiRand-1K."),
  ]
  ACTIONS = ACTIONS
  ORIGIN = "KuaiRand's own files"
  ARCHIVES = kuairand_csv.ARCHIVES
  ABOUT = {
    "homepage": "https://kuairand.com",
    "citation": (EMBEDDED / "CITATION.bib").read_text(encoding="utf-8"),
    "license": "CC BY-SA 4.0",
  }
  EMBEDDED = EMBEDDED

  def raw(self) -> tfds_builder.Raw:
    """Reads a folder's files."""
    assert self.builder_config is not None  # there is a list of them
    log, items, errors = LAYOUTS[self.builder_config.name](self.source)
    log["engaged"] = log[[*OUTCOMES, "long_watch"]].fillna(0).any(axis=1)
    return tfds_builder.Raw(
      [records.parts(log.sort_values("user", kind="stable"))],
      _features(items),
      # All videos the log shows in the training and test period.
      np.unique(log.loc[log["time"].notna(), "item"].to_numpy()),
      {
        "outcomes": len(OUTCOMES),
        "surfaces": SURFACES,
        "validation_from": VALIDATION_FROM,
        "test_from": TEST_FROM,
        "gaps": records.gaps(log, before=VALIDATION_FROM),
      },
      errors,
    )
