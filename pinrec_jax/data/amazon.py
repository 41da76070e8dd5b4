"""Amazon review sequences of 2014 as TFDS data sets, from your own files.

McAuley et al., SIGIR 2015, doi:10.1145/2766462.2767755: the 5-core sequences
on which SASRec, S3-Rec and TIGER are compared, in order and without times. The
data may be used for research and not be redistributed, so the package has none
of it.
"""

import pathlib

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import row_errors, tfds_builder

OUTCOMES = ("review",)
SEQUENCES, ITEMS = "sequential_data.txt", "items.csv"
CATEGORY_SLOTS = 5


def _sequences(file: pathlib.Path) -> pd.DataFrame:
  """Returns a row an event from lines "user item item ..."."""
  text = file.read_text(encoding="utf-8")
  lines = [line.split() for line in text.splitlines() if line]
  sizes = [len(line) - 1 for line in lines]
  return pd.DataFrame(
    {
      "user": np.repeat([int(line[0]) for line in lines], sizes),
      "item": np.array([int(t) for line in lines for t in line[1:]], np.int64),
    }
  )


def _features(items: pd.DataFrame) -> pd.DataFrame:
  """Returns the feature columns of the items.

  An item's attributes are "brand|category|category|...".
  """
  attributes = items["attributes"].fillna("").str.strip("|")
  parts = attributes.str.split("|", expand=True)
  parts = parts.mask(parts == "")
  slots = parts.columns[1 : 1 + CATEGORY_SLOTS]
  return pd.DataFrame(
    {
      "item": items["item"],
      "item_type": "product",
      "brand": parts[0],
      **{f"category.{n}": parts[slot] for n, slot in enumerate(slots)},
      "title": items["title"] if "title" in items else _titles(parts),
    }
  )


def _titles(parts: pd.DataFrame) -> pd.Series:
  """Returns "category, brand", for files without a column of titles."""
  narrowest = (
    parts[parts.columns[1:]].ffill(axis=1).iloc[:, -1:].squeeze(axis=1)
  )
  return pd.Series(
    [
      ", ".join(text for text in texts if isinstance(text, str))
      for texts in zip(narrowest, parts[0], strict=True)
    ],
    index=parts.index,
  )


class Amazon(tfds_builder.Builder):
  """Amazon reviews: each user's last review is the test."""

  VERSION = tfds.core.Version("1.2.0")
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name=name, description=f"Amazon 2014, {name}.")
    for name in ("beauty", "sports", "toys")
  ]
  ACTIONS = OUTCOMES
  ORIGIN = f"{SEQUENCES} and {ITEMS} of the 5-core sequences"
  ABOUT = {
    "homepage": "https://jmcauley.ucsd.edu/data/amazon",
    "license": "academic use, no redistribution",
  }

  def raw(self) -> tfds_builder.Raw:
    """Reads a folder's files."""
    log = tfds_builder.read(self.source / SEQUENCES, _sequences)
    log = log.assign(time=np.nan, surface=0, engaged=True, review=True)
    return tfds_builder.Raw(
      [[log]],
      _features(tfds_builder.read(self.source / ITEMS, pd.read_csv)),
      np.unique(log["item"].to_numpy()),
      {"outcomes": len(OUTCOMES), "surfaces": ("unknown",)},
      row_errors.RowErrors(len(log)),
    )
