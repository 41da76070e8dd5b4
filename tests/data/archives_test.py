import functools
import hashlib
import http.server
import pathlib
import socket
import tarfile
import threading
import types
import zipfile

import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import archives, kuairand, movielens
from pinrec_jax.data import dataset as dataset_lib

MOVIES = "1::Toy Story (1995)::Comedy\n2::Heat (1995)::Action\n"
RATINGS = "1::2::5::978300760\n1::1::3::978300500\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
  def log_message(self, format, *args):
    pass


@pytest.fixture
def site(tmp_path, monkeypatch):
  """A folder, and the address it is served at."""
  folder = tmp_path / "site"
  folder.mkdir()
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  handler = functools.partial(Quiet, directory=str(folder))
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def digest(path, algorithm):
  found = hashlib.new(algorithm, path.read_bytes()).hexdigest()
  return f"{algorithm}:{found}"


@pytest.fixture
def films(site, tmp_path, monkeypatch):
  """Serves a MovieLens archive; returns it, and how to register its sum."""
  folder, address = site
  path = folder / "ml-1m.zip"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("ml-1m/README", "read me")
    archive.writestr("ml-1m/movies.dat", MOVIES)
    archive.writestr("ml-1m/ratings.dat", RATINGS)

  def register(checksum):
    known = movielens.Movielens.ARCHIVES["1m"]
    here = known._replace(url=f"{address}/{path.name}", checksum=checksum)
    monkeypatch.setitem(movielens.Movielens.ARCHIVES, "1m", here)

  return path, register


@pytest.fixture
def clips(site, tables, monkeypatch):
  """Serves a KuaiRand archive; returns it, and how to register its sum."""
  folder, address = site
  path = folder / "KuaiRand-1K.tar.gz"
  with tarfile.open(path, "w:gz") as archive:
    archive.add(tables("1k"), "KuaiRand-1K/data")

  def register(checksum):
    known = kuairand.Kuairand.ARCHIVES["1k"]
    here = known._replace(url=f"{address}/{path.name}", checksum=checksum)
    monkeypatch.setitem(kuairand.Kuairand.ARCHIVES, "1k", here)

  return path, register


def config(name, tmp_path):
  return config_lib.Data(name=name, prepared_dir=str(tmp_path / "prepared"))


def kept(tmp_path):
  """Returns the names of the files that downloads left behind."""
  folder = tmp_path / "prepared" / "downloads"
  return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_zip_is_fetched_checked_and_unpacked_once(films, tmp_path):
  path, register = films
  register(digest(path, "sha256"))
  dataset = dataset_lib.load(config("movielens/1m", tmp_path))
  (events,) = dataset.events
  assert dataset.items.ids[events.item].tolist() == [1, 2]
  assert kept(tmp_path) == ["movies.dat", "ratings.dat"]
  # The unpacked files are used again, without the network.
  path.unlink()
  for folder in (tmp_path / "prepared" / "movielens").glob("1m/*"):
    folder.rename(tmp_path / folder.name)
  again = dataset_lib.load(config("movielens/1m", tmp_path))
  assert again.users == dataset.users


def test_zip_with_another_sum_is_refused_and_deleted(films, tmp_path):
  path, register = films
  register("sha256:" + 64 * "0")
  with pytest.raises(
    ValueError,
    match=rf"{path.name} does not have the published checksum.*was deleted",
  ):
    dataset_lib.load(config("movielens/1m", tmp_path))
  assert kept(tmp_path) == []


def test_half_an_unpacked_folder_is_never_left(films, tmp_path, monkeypatch):
  path, register = films
  register(digest(path, "sha256"))
  with monkeypatch.context() as patch:
    patch.setattr(archives, "shutil", types.SimpleNamespace(copyfileobj=None))
    with pytest.raises(TypeError):
      dataset_lib.load(config("movielens/1m", tmp_path))
  assert kept(tmp_path) == ["ml-1m.zip"]
  dataset_lib.load(config("movielens/1m", tmp_path))
  assert kept(tmp_path) == ["movies.dat", "ratings.dat"]


def test_tar_is_fetched_checked_and_unpacked(clips, tables, tmp_path):
  path, register = clips
  register(digest(path, "md5"))
  dataset = dataset_lib.load(config("kuairand/1k", tmp_path))
  assert dataset.users == ("7", "8")
  # Neither the random log nor the archive itself.
  assert kept(tmp_path) == [
    "log_standard_4_08_to_4_21_1k.csv",
    "log_standard_4_22_to_5_08_1k.csv",
    "video_features_basic_1k.csv",
  ]


def test_tar_with_another_sum_is_refused_and_fetched_anew(clips, tmp_path):
  path, register = clips
  right = digest(path, "md5")
  register(right)
  whole = path.read_bytes()
  path.write_bytes(whole[:-100])
  with pytest.raises(ValueError, match=f"checksum {right}. The download was"):
    dataset_lib.load(config("kuairand/1k", tmp_path))
  assert kept(tmp_path) == []
  path.write_bytes(whole)
  dataset = dataset_lib.load(config("kuairand/1k", tmp_path))
  assert dataset.users == ("7", "8")


def test_missing_archive_says_what_to_do(films, tmp_path):
  path, register = films
  register(digest(path, "sha256"))
  path.unlink()
  with pytest.raises(
    ConnectionError, match=rf"{path.name} cannot be .*404.*--config\.data\.so"
  ):
    dataset_lib.load(config("movielens/1m", tmp_path))


@pytest.mark.parametrize(
  ("name", "builder"),
  [
    ("movielens/1m", movielens.Movielens),
    ("movielens/20m", movielens.Movielens),
    ("kuairand/1k", kuairand.Kuairand),
    ("kuairand/pure", kuairand.Kuairand),
  ],
)
def test_missing_network_says_what_to_do(name, builder, tmp_path, monkeypatch):
  variant = name.split("/")[1]
  known = builder.ARCHIVES[variant]
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  with socket.socket() as unheard:
    unheard.bind(("127.0.0.1", 0))
    port = unheard.getsockname()[1]
    host = known.url.split("/")[2]
    url = known.url.replace(f"https://{host}", f"http://127.0.0.1:{port}")
    monkeypatch.setitem(builder.ARCHIVES, variant, known._replace(url=url))
    with pytest.raises(
      ConnectionError, match=rf"{url} cannot be .*--config\.data\.source"
    ):
      dataset_lib.load(config(name, tmp_path))


def test_every_archive_has_a_published_sum():
  for builder in (kuairand.Kuairand, movielens.Movielens):
    for archive in builder.ARCHIVES.values():
      assert archive.url.startswith("https://")
      algorithm, _, found = archive.checksum.partition(":")
      assert len(found) == {"sha256": 64, "md5": 32}[algorithm]


def test_nothing_but_one_line_is_printed(films, tmp_path, capfd):
  path, register = films
  register(digest(path, "sha256"))
  dataset_lib.load(config("movielens/1m", tmp_path))
  out, err = capfd.readouterr()
  lines = [ln for ln in err.splitlines() if ln and "B/s" not in ln]
  assert out == ""
  assert lines == [
    f"preparing movielens/1m in {tmp_path}/prepared/movielens/1m/1.2.0"
  ]


def test_excerpt_is_never_fetched(raw, tmp_path, monkeypatch):
  monkeypatch.setattr(kuairand.Kuairand, "EMBEDDED", raw("mini"))
  monkeypatch.setattr(archives, "fetch", None)
  dataset = dataset_lib.load(config("kuairand/mini", tmp_path))
  assert dataset.users == ("7", "8", "9")


def test_given_folder_is_read_without_a_download(tables, tmp_path, monkeypatch):
  monkeypatch.setattr(archives, "fetch", None)
  data = config("kuairand/1k", tmp_path)
  data.source = str(pathlib.Path(tables("1k")))
  assert dataset_lib.load(data).users == ("7", "8")
