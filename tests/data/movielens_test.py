import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import splits

MOVIES = """\
1::Toy Story (1995)::Animation|Children's|Comedy
2::Léon: The Professional (1994)::Crime
3::Nobody Saw It (1990)::Drama
4::Untitled::Comedy
"""
# Two ratings of user 1 are of one second; the file's order decides.
RATINGS = """\
1::4::5::978300760
1::2::3::978300500
1::1::4::978300500
1::4::1::978300900
2::1::2::978300100
"""


@pytest.fixture
def config(tmp_path):
  source = tmp_path / "ml-1m"
  source.mkdir()
  (source / "movies.dat").write_bytes(MOVIES.encode("latin-1"))
  (source / "ratings.dat").write_text(RATINGS)
  return config_lib.Data(
    name="movielens/1m",
    source=str(source),
    prepared_dir=str(tmp_path / "prepared"),
  )


def test_ratings_become_histories_in_order(config):
  dataset = dataset_lib.load(config)
  events = dict(zip(dataset.users, dataset.events, strict=True))["1"]
  assert dataset.items.ids[events.item].tolist() == [2, 1, 4, 4]
  assert events.actions.tolist() == [
    [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]
  ]  # fmt: skip
  assert dataset.vocabulary.outcome_names[0] == "rating_5"
  assert events.engaged.all()


def test_films_have_titles(config):
  catalog = dataset_lib.load(config).catalog
  assert catalog.titles is not None
  assert catalog.titles.to_pylist() == [
    "", "Toy Story (1995)", "Léon: The Professional (1994)", "Untitled"
  ]  # fmt: skip


def test_only_rated_films_are_candidates(config):
  dataset = dataset_lib.load(config)
  assert dataset.items.ids.tolist() == [0, 1, 2, 4]
  assert dataset.items.candidate.tolist() == [False, True, True, True]
  (genre,) = dataset.vocabulary.features
  assert genre.name == "genre"
  assert genre.slots == 3
  # Animation, Children's, Comedy; Crime; Comedy.
  assert dataset.items.categorical[1:].tolist() == [
    [1, 2, 3], [4, 0, 0], [3, 0, 0]
  ]  # fmt: skip
  year = dataset.items.dense[:, 0]
  assert year[1] > year[2]
  assert year[3] == 0


def test_last_ratings_are_held_out(config):
  dataset = dataset_lib.load(config)
  events = dict(zip(dataset.users, dataset.events, strict=True))
  names = dataset.vocabulary
  assert splits.before(names, events["1"], "test") == 3
  assert splits.before(names, events["1"], "validation") == 2
  assert splits.before(names, events["2"], "validation") == 1
  # Nothing held out tells how times ahead are told apart.
  assert set(names.gaps) == {0}


def rebuilt(config, **columns):
  """Writes the ratings as a rebuilt copy has them, instead of ratings.dat."""
  source = pathlib.Path(config.source)
  table = np.array([line.split("::") for line in RATINGS.splitlines()], int)
  (source / "ratings.dat").unlink()
  names = ["user_id", "movie_id", "rating", "timestamp"]
  pd.DataFrame(table, columns=names).assign(**columns).to_parquet(
    source / "ratings_reconstructed.parquet"
  )


def test_rebuilt_ratings_are_read_too(config):
  plain = dataset_lib.load(config)
  rebuilt(config)
  again = dataset_lib.load(config)
  for one, other in zip(plain.events, again.events, strict=True):
    np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_array_equal(one.time, other.time)


def test_estimated_times_are_unknown_and_still_order_the_history(config):
  exact = dataclasses.replace(config, name="movielens/1m_exact_times")
  every = dataset_lib.load(exact)
  assert (every.events[0].time > 0).all()  # The files of GroupLens.
  # The last of each user's ratings, and the third of user 1 in order.
  rebuilt(config, ts_exact=[False, True, True, True, False])
  loaded = dataset_lib.load(exact)
  some = dict(zip(loaded.users, loaded.events, strict=True))
  assert some["1"].time.tolist() == [978300500, 978300500, 0, 978300900]
  assert some["2"].time.tolist() == [0]
  for own, other in zip(every.events, some.values(), strict=True):
    np.testing.assert_array_equal(own.item, other.item)
  # Under its other name, the log has all times.
  assert all((own.time > 0).all() for own in dataset_lib.load(config).events)


def test_missing_file_is_named(config):
  (pathlib.Path(config.source) / "movies.dat").unlink()
  with pytest.raises(FileNotFoundError, match=r"movies\.dat is missing"):
    dataset_lib.load(config)


def test_broken_line_is_an_error(config):
  path = pathlib.Path(config.source) / "ratings.dat"
  path.write_text(RATINGS + "3::1::4::9::9::9\n")
  with pytest.raises(ValueError, match=r"ratings\.dat is corrupt"):
    dataset_lib.load(config)


CSV_MOVIES = """\
movieId,title,genres
1,Toy Story (1995),Adventure|Animation|Children
2,"American President, The (1995)",Drama
3,Nobody Saw It (1990),Drama
4,Léon: The Professional (1994) ,A|B|C|D|E|F|G
5,Babylon 5,(no genres listed)
"""
# Of user 12, three ratings are of one second; the file's order decides.
CSV_RATINGS = """\
userId,movieId,rating,timestamp
12,4,4.5,1112486030
12,5,3.5,1112486027
12,1,5.0,1112486027
12,2,4.0,1112486027
12,4,0.5,1112486099
3,1,3.0,978300100
"""


@pytest.fixture
def csv(tmp_path):
  source = tmp_path / "ml-20m"
  source.mkdir()
  (source / "movies.csv").write_text(CSV_MOVIES, encoding="utf-8")
  (source / "ratings.csv").write_text(CSV_RATINGS)
  return config_lib.Data(
    name="movielens/20m",
    source=str(source),
    prepared_dir=str(tmp_path / "prepared"),
  )


def test_half_stars_become_bands_in_order(csv):
  dataset = dataset_lib.load(csv)
  assert dataset.users == ("12", "3")
  assert dataset.vocabulary.outcome_names == (
    "rating_5", "rating_4", "rating_3_or_less"
  )  # fmt: skip
  events = dataset.events[0]
  assert dataset.items.ids[events.item].tolist() == [5, 1, 2, 4, 4]
  assert events.time.tolist() == [1112486027] * 3 + [1112486030, 1112486099]
  # 3.5, 5, 4, 4.5 and .5 stars.
  assert events.actions.tolist() == [
    [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]
  ]  # fmt: skip
  assert events.engaged.all()
  assert dataset.events[1].actions.tolist() == [[0, 0, 1]]


def test_rated_films_of_20m_have_genres_and_years(csv):
  dataset = dataset_lib.load(csv)
  assert dataset.items.ids.tolist() == [0, 1, 2, 4, 5]
  # The seventh genre of film 4 is left out, and film 5 has none.
  assert dataset.items.categorical[1:].tolist() == [
    [1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0], [5, 6, 7, 8, 9, 10], [0] * 6
  ]  # fmt: skip
  assert "(no genres listed)" not in dataset.catalog.values["genre"]
  year = dataset.items.dense[1:, 0]
  assert year[0] == year[1] > year[2]
  assert year[3] == 0


@pytest.mark.parametrize(
  ("name", "old", "column"),
  [("ratings", "rating,", "rating"), ("movies", "movieId", "movieId")],
)
def test_missing_column_of_20m_is_named(csv, name, old, column):
  path = pathlib.Path(csv.source) / f"{name}.csv"
  path.write_text(path.read_text().replace(old, f"no_{old}", 1))
  with pytest.raises(ValueError, match=f"lacks the column '{column}'; set"):
    dataset_lib.load(csv)


@pytest.mark.parametrize("line", ["3,1,4.0", "3,one,4.0,9", "3,1,4.0,9,9"])
def test_broken_line_of_20m_is_an_error(csv, line):
  path = pathlib.Path(csv.source) / "ratings.csv"
  path.write_text(f"{CSV_RATINGS}{line}\n")
  with pytest.raises(ValueError, match=r"ratings\.csv is corrupt"):
    dataset_lib.load(csv)
