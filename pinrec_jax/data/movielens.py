"""MovieLens 1M as a TFDS data set, from the files of GroupLens.

Harper and Konstan, ACM TiiS 2015, doi:10.1145/2827872. The data may be used
for research and not be passed on, so none of it is embedded.
"""

import functools
import pathlib

import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import builder, checks, records

# A rating's band is what the user did.
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
    return builder.read(rebuilt, pd.read_parquet)
  names = ["user_id", "movie_id", "rating", "timestamp"]
  return builder.read(
    source / "ratings.dat", functools.partial(_fields, names=names)
  )


def _bands(ratings: pd.DataFrame) -> pd.DataFrame:
  """Returns the log; every rating is an engagement."""
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
  return log.sort_values(["user", "time"], kind="stable")


def _features(movies: pd.DataFrame) -> pd.DataFrame:
  """Returns the columns a film is described by."""
  genres = movies["genres"].str.split("|", expand=True)
  year = movies["title"].str.extract(r"\((\d{4})\)\s*$")[0].astype(float)
  return pd.DataFrame(
    {
      "item": movies["movie_id"],
      "item_type": "movie",
      **{f"genre.{n}": genres[n] for n in genres.columns[:GENRE_SLOTS]},
      "dense.year": ((year - year.mean()) / year.std()).fillna(0.0),
    }
  )


class Movielens(builder.Builder):
  """MovieLens: each user's last rating is the test.

  Equal times keep the order of the file. The rating before the last is the
  validation.
  """

  VERSION = tfds.core.Version("1.1.0")
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name="1m", description="MovieLens 1M.")
  ]
  ACTIONS = OUTCOMES
  ORIGIN = (
    "the files of https://files.grouplens.org/datasets/movielens/ml-1m.zip"
  )
  ABOUT = {
    "homepage": "https://grouplens.org/datasets/movielens",
    "license": "research use, no redistribution",
  }

  def raw(self) -> builder.Raw:
    """Reads a folder's files."""
    log = _bands(_ratings(self.source))
    names = ["movie_id", "title", "genres"]
    movies = builder.read(
      self.source / "movies.dat", functools.partial(_fields, names=names)
    )
    # Films nobody rated are in no published candidate set.
    rated = _features(movies.loc[movies["movie_id"].isin(log["item"])])
    return builder.Raw(
      [log],
      rated,
      rated["item"].to_numpy(),
      {
        "outcomes": len(OUTCOMES),
        "surfaces": ("unknown",),
        "gaps": records.percentiles(records.gaps(log)),
      },
      checks.Faults(len(log)),
    )
