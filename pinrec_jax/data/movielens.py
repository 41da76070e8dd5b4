"""MovieLens 1M as a TFDS data set, from the files of GroupLens.

Harper and Konstan, ACM TiiS 2015, doi:10.1145/2827872. The data may be used
for research and not be passed on, so none of it is embedded.
"""

import functools
import pathlib
from collections.abc import Iterator
from typing import Any

import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import catalogue, raw, records

# Every rating is an engagement; its band is what the user did.
OUTCOMES = ("rating_5", "rating_4", "rating_3_or_less")
GENRE_SLOTS = 6

# Fields are parted by "::", which only pandas' slow reader can split; by ":"
# every second column is empty. Titles may hold one, so they are read apart.
_fields = functools.partial(
  pd.read_csv, sep="::", header=None, engine="python", encoding="latin-1"
)


def _ratings(source: pathlib.Path) -> pd.DataFrame:
  """Returns user_id, movie_id, rating and timestamp, in the file's order."""
  rebuilt = source / "ratings_reconstructed.parquet"
  if rebuilt.is_file():
    return raw.read(rebuilt, pd.read_parquet)
  names = ["user_id", "movie_id", "rating", "timestamp"]
  return raw.read(
    source / "ratings.dat", functools.partial(_fields, names=names)
  )


def _layout(source: pathlib.Path) -> tuple[pd.DataFrame, pd.DataFrame]:
  ratings = _ratings(source)
  movies = raw.read(
    source / "movies.dat",
    functools.partial(_fields, names=["movie_id", "title", "genres"]),
  )
  rating = ratings["rating"]
  bands = (rating == 5, rating == 4, rating <= 3)
  log = pd.DataFrame(
    {
      "user": ratings["user_id"],
      "item": ratings["movie_id"],
      "time": ratings["timestamp"],
      "surface": 0,
      "engaged": True,
      **dict(zip(OUTCOMES, bands, strict=True)),
    }
  )
  genres = movies["genres"].str.split("|", expand=True)
  year = movies["title"].str.extract(r"\((\d{4})\)\s*$")[0].astype(float)
  items = pd.DataFrame(
    {
      "item": movies["movie_id"],
      "item_type": "movie",
      **{f"genre.{n}": genres[n] for n in genres.columns[:GENRE_SLOTS]},
      "dense.year": ((year - year.mean()) / year.std()).fillna(0.0),
    }
  )
  # Films nobody rated are in no published candidate set.
  return log, items.loc[items["item"].isin(log["item"])]


class Movielens(tfds.core.GeneratorBasedBuilder):
  """MovieLens: one example a user, the ratings in order of time.

  Equal times keep the order of the file. Each user's last rating is the test
  and the one before it the validation.
  """

  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name="1m", description="MovieLens 1M.")
  ]

  def __init__(self, *, source: str = "", **kwargs: Any):
    self._source = pathlib.Path(source).expanduser() if source else None
    super().__init__(file_format="array_record", **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=records.features(len(OUTCOMES)),
      homepage="https://grouplens.org/datasets/movielens",
      license="research use, no redistribution",
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
    del dl_manager  # the files are local
    if self._source is None:
      raise ValueError(
        "data.source is empty; point it at a folder with the files of "
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
      )
    log, items = raw.known(_layout, self._source, "MovieLens")
    log = log.sort_values(["user", "time"], kind="stable")
    known = catalogue.encode(
      items,
      items["item"].to_numpy(),
      actions=OUTCOMES,
      outcomes=len(OUTCOMES),
      surfaces=("unknown",),
      gaps=records.gaps(log.groupby("user").head(-2)),
    )
    known.save(pathlib.Path(self.data_path))
    return {"users": self._generate_examples(log, known)}

  def _generate_examples(
    self, log: pd.DataFrame, known: catalogue.Catalogue
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from records.examples(log, known)
