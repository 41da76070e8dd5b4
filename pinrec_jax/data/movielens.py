"""MovieLens 1M and 20M as TFDS data sets, from the files of GroupLens.

Harper and Konstan, ACM TiiS 2015, doi:10.1145/2827872. The data may be used
for research and not be redistributed, so the package has none of it.
"""

import functools
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import archives, records, row_errors, tfds_builder

# The outcome of an event is the band of its rating. 20M has half stars: 4.5 is
# in the band of 4, and 3.5 in the band of 3.
OUTCOMES = ("rating_5", "rating_4", "rating_3_or_less")
GENRE_SLOTS = 6  # Further genres of a film are left out.
NO_GENRE = "(no genres listed)"
SITE = "https://files.grouplens.org/datasets/movielens"
RATINGS = ["user_id", "movie_id", "rating", "timestamp"]
MOVIES = ["movie_id", "title", "genres"]
CSV_MOVIES = ["movieId", "title", "genres"]

# Fields are separated by "::", which only the slow reader of pandas can split.
_fields = functools.partial(
  pd.read_csv, sep="::", header=None, engine="python", encoding="latin-1"
)


def _one_million(source: pathlib.Path) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Returns RATINGS, in the file's order, and MOVIES."""
  rebuilt = source / "ratings_reconstructed.parquet"
  if rebuilt.is_file():
    ratings = tfds_builder.read(rebuilt, pd.read_parquet)
  else:
    ratings = tfds_builder.read(
      source / "ratings.dat", functools.partial(_fields, names=RATINGS)
    )
  movies = tfds_builder.read(
    source / "movies.dat", functools.partial(_fields, names=MOVIES)
  )
  return ratings, movies


def _twenty_million(source: pathlib.Path) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Returns RATINGS, in the file's order, and MOVIES."""
  kinds: Any = {
    "userId": np.int32,
    "movieId": np.int32,
    "rating": np.float32,
    "timestamp": np.int64,
  }
  ratings = tfds_builder.read(
    source / "ratings.csv", functools.partial(pd.read_csv, dtype=kinds)
  )
  movies = tfds_builder.read(source / "movies.csv", pd.read_csv)
  return (
    pd.DataFrame(
      {to: ratings[c] for c, to in zip(kinds, RATINGS, strict=True)}
    ),
    pd.DataFrame(
      {to: movies[c] for c, to in zip(CSV_MOVIES, MOVIES, strict=True)}
    ),
  )


def _exact_times(source: pathlib.Path) -> tuple[pd.DataFrame, pd.DataFrame]:
  """As `_one_million`; `dated` is False where a copy estimates the time."""
  ratings, movies = _one_million(source)
  if "ts_exact" in ratings:
    ratings = ratings.rename(columns={"ts_exact": "dated"})
  return ratings, movies


LAYOUTS = {
  "1m": _one_million,
  "1m_exact_times": _exact_times,
  "20m": _twenty_million,
}


def _bands(ratings: pd.DataFrame) -> pd.DataFrame:
  """Returns the log; every rating is an engagement."""
  rating = ratings["rating"]
  bands = (rating == 5, (rating >= 4) & (rating < 5), rating < 4)
  log = pd.DataFrame(
    {
      "user": ratings["user_id"],
      "item": ratings["movie_id"],
      "time": ratings["timestamp"],
      "surface": np.int8(0),
      "engaged": True,
      **dict(zip(OUTCOMES, bands, strict=True)),
    }
  )
  if "dated" in ratings:
    log["dated"] = ratings["dated"]
  return log.iloc[np.lexsort((log["time"], log["user"]))]


def _features(movies: pd.DataFrame) -> pd.DataFrame:
  """Returns the columns a film is described by."""
  listed = movies["genres"].where(movies["genres"] != NO_GENRE)
  genres = listed.str.split("|", expand=True)
  year = movies["title"].str.extract(r"\((\d{4})\)\s*$")[0].astype(float)
  return pd.DataFrame(
    {
      "item": movies["movie_id"],
      "item_type": "movie",
      **{f"genre.{n}": genres[n] for n in genres.columns[:GENRE_SLOTS]},
      "dense.year": ((year - year.mean()) / year.std()).fillna(0.0),
      "title": movies["title"],
    }
  )


ONE_MILLION = archives.Archive(
  f"{SITE}/ml-1m.zip",
  ("ratings.dat", "movies.dat"),
  "sha256:a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
)


class Movielens(tfds_builder.Builder):
  """MovieLens: each user's last rating is the test.

  Equal times keep the order of the file. The rating before the last is the
  validation.
  """

  VERSION = tfds.core.Version("1.2.0")
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name="1m", description="MovieLens 1M."),
    tfds.core.BuilderConfig(
      name="1m_exact_times",
      description="MovieLens 1M, without times that a rebuilt copy estimates.",
    ),
    tfds.core.BuilderConfig(name="20m", description="MovieLens 20M."),
  ]
  ACTIONS = OUTCOMES
  ORIGIN = f"the files of {SITE}/ml-1m.zip or ml-20m.zip"
  ARCHIVES = {
    "1m": ONE_MILLION,
    "1m_exact_times": ONE_MILLION,
    "20m": archives.Archive(
      f"{SITE}/ml-20m.zip",
      ("ratings.csv", "movies.csv"),
      "sha256:96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    ),
  }
  ABOUT = {
    "homepage": "https://grouplens.org/datasets/movielens",
    "license": "research use, no redistribution",
  }

  def raw(self) -> tfds_builder.Raw:
    """Reads a folder's files."""
    assert self.builder_config is not None  # there is a list of them
    ratings, movies = LAYOUTS[self.builder_config.name](self.source)
    log = _bands(ratings)
    # Films nobody rated are in no published candidate set.
    rated = _features(movies.loc[movies["movie_id"].isin(log["item"])])
    return tfds_builder.Raw(
      [records.parts(log)],
      rated,
      rated["item"].to_numpy(),
      {
        "outcomes": len(OUTCOMES),
        "surfaces": ("unknown",),
        "gaps": records.gaps(log),
      },
      row_errors.RowErrors(len(log)),
    )
