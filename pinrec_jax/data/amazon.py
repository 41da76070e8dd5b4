"""Amazon review sequences of 2014 as TFDS data sets, from files of your own.

McAuley et al., SIGIR 2015, doi:10.1145/2766462.2767755: the 5-core sequences
that SASRec, S3-Rec and TIGER are compared on, in order and without times. The
data may be used for research and not be passed on, so none of it is embedded.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import catalogue, raw, records

OUTCOMES = ("review",)
SEQUENCES, ITEMS = "sequential_data.txt", "items.csv"
CATEGORY_SLOTS = 5


def _sequences(file: pathlib.Path) -> pd.DataFrame:
  """Returns a row an event from lines "user item item ..."."""
  lines = [line.split() for line in file.read_text().splitlines() if line]
  sizes = [len(line) - 1 for line in lines]
  return pd.DataFrame(
    {
      "user": np.repeat([int(line[0]) for line in lines], sizes),
      "item": np.array([int(t) for line in lines for t in line[1:]], np.int64),
    }
  )


def _layout(source: pathlib.Path) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Returns the log and the items; an item's first attribute is its brand."""
  log = raw.read(source / SEQUENCES, _sequences)
  log = log.assign(time=np.nan, surface=0, engaged=True, review=True)
  items = raw.read(source / ITEMS, pd.read_csv)
  attributes = items["attributes"].fillna("").str.strip("|")
  parts = attributes.str.split("|", expand=True)
  parts = parts.mask(parts == "")
  slots = parts.columns[1 : 1 + CATEGORY_SLOTS]
  return log, pd.DataFrame(
    {
      "item": items["item"],
      "item_type": "product",
      "brand": parts[0],
      **{f"category.{n}": parts[slot] for n, slot in enumerate(slots)},
    }
  )


class Amazon(tfds.core.GeneratorBasedBuilder):
  """Amazon reviews: one example a user, the last review tested."""

  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name=name, description=f"Amazon 2014, {name}.")
    for name in ("beauty", "sports", "toys")
  ]

  def __init__(self, *, source: str = "", **kwargs: Any):
    self._source = pathlib.Path(source).expanduser() if source else None
    super().__init__(file_format="array_record", **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=records.features(len(OUTCOMES)),
      homepage="https://jmcauley.ucsd.edu/data/amazon",
      license="academic use, no redistribution",
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
    del dl_manager  # the files are local
    if self._source is None:
      raise ValueError(
        f"data.source is empty; point it at a folder with {SEQUENCES} and "
        f"{ITEMS}"
      )
    log, items = raw.known(_layout, self._source, "the 5-core sequences")
    known = catalogue.encode(
      items,
      np.unique(log["item"].to_numpy()),
      actions=OUTCOMES,
      outcomes=len(OUTCOMES),
      surfaces=("unknown",),
    )
    known.save(pathlib.Path(self.data_path))
    return {"users": self._generate_examples(log, known)}

  def _generate_examples(
    self, log: pd.DataFrame, known: catalogue.Catalogue
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from records.examples(log, known)
