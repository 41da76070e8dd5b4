"""A file is cut into shards, which are read again from where they begin."""

import gzip

import hypothesis
import pytest
from hypothesis import strategies

from pinrec_jax.batch_retrieval import places, shards
from pinrec_jax.inference import stream, users

LINE = strategies.sampled_from([b"", b" ", b"{}", b"\xef\xbb\xbf{}", b"\xff"])


@hypothesis.given(
  lines=strategies.lists(LINE),
  end=strategies.sampled_from([b"\n", b"\r\n"]),
  size=strategies.integers(1, 4),
  packed=strategies.booleans(),
)
def test_shards_have_each_request_once(
  tmp_path_factory, lines, end, size, packed
):
  path = tmp_path_factory.mktemp("cut") / "histories"
  content = end.join(lines)
  path.write_bytes(gzip.compress(content) if packed else content)
  found = [*shards.of_file(str(path), 3, size)]
  wanted = [
    (number, request)
    for number, line in enumerate(content.split(b"\n"), 1)
    if (request := stream.stripped(line))
  ]
  rows = [
    (row.line, row.given)
    for shard in found
    for row in shards.rows(shard, users.Users())
  ]
  assert rows == wanted
  assert [shard.name for shard in found] == [
    f"00003-{n:05}" for n in range(len(found))
  ]
  assert all(shard.size == size for shard in found[:-1])
  assert sum(shard.size for shard in found) == len(wanted)
  assert len(found) == max(1, -(-len(wanted) // size))


def test_a_shard_has_a_digest_of_its_lines(tmp_path):
  path = tmp_path / "histories"
  digests = []
  for content in (b"a\nb\nc\n", b"a\nb\nd\n", b"a\n\nb\nc\n"):
    path.write_bytes(content)
    digests.append([s.digest for s in shards.of_file(str(path), 0, 2)])
  (first, second), (same, other), (gap, moved) = digests
  assert first == same
  assert second == moved
  assert len({first, second, other, gap}) == 4


def test_a_file_that_became_shorter_is_an_error(tmp_path):
  path = tmp_path / "histories"
  path.write_bytes(b"a\nb\nc\n")
  (shard,) = shards.of_file(str(path), 0, 4)
  path.write_bytes(b"a\nb\n")
  with pytest.raises(OSError, match=r"has become shorter"):
    list(shards.rows(shard, users.Users()))


def test_a_damaged_file_is_named(tmp_path):
  path = tmp_path / "histories.gz"
  path.write_bytes(gzip.compress(b"a\n" * 10_000)[:-20])
  with pytest.raises(OSError, match=r"histories\.gz cannot be read: "):
    list(shards.of_file(str(path), 0, 4))


@pytest.mark.parametrize(
  ("pattern", "found"),
  [
    ("day/a.jsonl", ["day/a.jsonl"]),
    ("day", ["day/a.jsonl", "day/deep/b.jsonl"]),
    ("day/*.jsonl", ["day/a.jsonl"]),
    ("d?y/**", ["day/a.jsonl", "day/deep/b.jsonl"]),
    ("*", ["day/a.jsonl", "day/deep/b.jsonl", "x[1].jsonl"]),
    ("x[1].jsonl", ["x[1].jsonl"]),
    ("_hidden", ["_hidden/c.jsonl"]),
    ("day/_SUCCESS", ["day/_SUCCESS"]),
  ],
)
@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_sources_of_a_path_a_folder_or_a_pattern(
  place, pattern, found, tmp_path, in_bucket
):
  root = tmp_path
  for name in (
    "day/a.jsonl", "day/deep/b.jsonl", "day/_SUCCESS", "day/.c", "x[1].jsonl",
    "_hidden/c.jsonl",
  ):  # fmt: skip
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(b"{}\n")
  where = str(root)
  if place == "bucket":
    where = in_bucket(root)
  sources = places.sources(f"{where}/{pattern}")
  assert sources == [places.Source(f"{where}/{name}", 3) for name in found]
  with places.opened(sources[0].place) as file:
    assert file.read() == b"{}\n"


def test_a_place_without_files_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"there is no such file; give a"):
    places.sources(str(tmp_path))
