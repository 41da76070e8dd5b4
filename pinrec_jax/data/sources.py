"""Files of a path, a folder or a pattern."""

import glob
import pathlib
import urllib.parse
from collections.abc import Iterable
from typing import Any

TEXT = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson", ".json")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # Of a folder, as Spark writes it.
PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


def path(text: str, field: str) -> pathlib.Path:
  """Returns the path of a field of `config.data`; "~" is the home folder.

  Raises:
    ValueError: if there is no home folder.
  """
  try:
    return pathlib.Path(text).expanduser()
  except RuntimeError as error:
    raise ValueError(
      f"config.data.{field} is {text!r} and there is no home folder; set HOME, "
      f"or give the whole path as --config.data.{field}=FOLDER"
    ) from error


def files(pattern: str, field: str) -> tuple[list[pathlib.Path], list[str]]:
  """Returns the files of a path, a folder or a pattern, and the skipped names.

  Folders are searched at every depth. Files of other formats, empty files, and
  names that begin with "_" or "." are skipped, as `_SUCCESS` of Spark.

  Raises:
    FileNotFoundError: if there is none; names the field of the configuration.
    ValueError: if the only file has an unknown format.
  """
  outermost = path(pattern, field)
  found = [outermost]
  if not outermost.exists():
    literal = str(outermost).replace("[", "[[]")
    matches = glob.glob(str(outermost), recursive=True) or glob.glob(literal)
    found = [pathlib.Path(match) for match in matches]
  every = [
    inner
    for outer in found
    for inner in (outer.rglob("*") if outer.is_dir() else [outer])
    if inner.is_file()
    and not any(n[0] in "_." for n in inner.relative_to(outer).parts)
  ]
  known = sorted(p for p in every if format_of(p) and p.stat().st_size)
  if every and not known:
    raise ValueError(
      f"config.data.{field} is {pattern!r}, and {every[0]} is empty or has an "
      f"unknown format. Use {', '.join(TEXT + LINES)} or .parquet. Text may be "
      f"compressed ({', '.join(PACKED)})"
    )
  if not known:
    raise FileNotFoundError(
      f"config.data.{field} is {pattern!r} and there is no such file; give a "
      "file, a folder or a pattern such as logs/*.parquet"
    )
  return known, sorted({p.name for p in every} - {p.name for p in known})


def stamps(paths: Iterable[pathlib.Path]) -> list[Any]:
  """Returns the names, sizes and times of files."""
  found = [(p, p.stat()) for p in paths]
  return sorted((name(p), s.st_size, s.st_mtime_ns) for p, s in found)


def format_of(path: pathlib.Path) -> str:
  """Returns the ending that says a file's format; "" if it is unknown."""
  endings = [e.lower() for e in path.suffixes if e.lower() not in PACKED]
  ending = endings[-1] if endings else ""
  return ending if ending in (*TEXT, *LINES, ".parquet") else ""


def partitions(path: pathlib.Path) -> dict[str, str]:
  """Returns the columns that folders such as "date=2023-11-14" stand for."""
  pairs = [part.partition("=") for part in path.parts[:-1] if "=" in part]
  found = {key: urllib.parse.unquote(value) for key, _, value in pairs}
  return {k: "" if v == NO_VALUE else v for k, v in found.items()}


def name(path: pathlib.Path) -> str:
  """Returns the name of a file, for messages, with its partition folders."""
  return "/".join([p for p in path.parts[:-1] if "=" in p] + [path.name])
