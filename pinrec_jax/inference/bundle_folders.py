"""Folders of bundles: which bundle is current, and whether it is whole."""

import pathlib
from typing import Any

from pinrec_jax import files, pace

FORMAT = 1  # Raised when older bundles can no longer be read.
MANIFEST, DIGEST, CURRENT = "manifest.json", "manifest.xxh3", "current"
VERSION_LENGTH = 16  # Characters of the digest that names a bundle.
REMEDY = "write the bundle again with --mode=index"


def write_manifest(folder: pathlib.Path, about: dict[str, Any]) -> str:
  """Writes the manifest of a bundle whose other files are written.

  Args:
    folder: of the bundle.
    about: what the manifest says beside the format and the digests.

  Returns:
    The bundle's version: the first characters of the manifest's digest.
  """
  digests = files.digests(folder)
  manifest = {"format": FORMAT, **about, "files": digests}
  files.write_json(folder / MANIFEST, manifest)
  digest = files.digest(folder / MANIFEST)
  files.write(folder / DIGEST, digest + "\n")
  return digest[:VERSION_LENGTH]


def read_manifest(
  folder: pathlib.Path, rest: pace.Rest = pace.unpaced
) -> tuple[dict[str, Any], str]:
  """Returns the manifest of a bundle and its version.

  Args:
    folder: of the bundle.
    rest: is called after each file that is checked.

  Raises:
    ValueError: naming a file that is missing or damaged, or if another version
      of the package wrote the bundle.
  """
  path = folder / DIGEST
  if not path.is_file():
    raise ValueError(
      f"{path} is missing, or another version of pinrec_jax wrote the bundle; "
      f"{REMEDY}"
    )
  digest = files.digest(folder / MANIFEST)
  if path.read_bytes().strip() != digest.encode():
    raise ValueError(
      f"{folder / MANIFEST} does not agree with {DIGEST}, so one of the two is "
      f"damaged; {REMEDY}"
    )
  found = files.read_json(folder / MANIFEST)
  if found["format"] != FORMAT:
    raise ValueError(
      f"{folder} has the bundle format {found['format']}, and this version of "
      f"pinrec_jax reads format {FORMAT}; {REMEDY}"
    )
  files.check(folder, found["files"], REMEDY, rest)
  return found, digest[:VERSION_LENGTH]


def versions(folder: pathlib.Path) -> list[str]:
  """Returns the bundles of a folder."""
  return sorted(path.parent.name for path in folder.glob(f"[!.]*/{MANIFEST}"))


def set_current(folder: pathlib.Path, version: str) -> None:
  """Makes a bundle of a folder the current one.

  Raises:
    FileNotFoundError: naming the bundles that exist.
  """
  known = versions(folder)
  if version not in known:
    raise FileNotFoundError(
      f"there is no bundle {version!r} in {folder}; choose from "
      f"{', '.join(known) or 'none'}"
    )
  files.write(folder / CURRENT, version + "\n")


def current(folder: pathlib.Path) -> str:
  """Returns the version of the current bundle of a folder; "" without one."""
  path = folder / CURRENT
  if not path.is_file():
    return ""
  return path.read_bytes().decode(errors="replace").strip()


def find(path: pathlib.Path) -> pathlib.Path:
  """Returns the folder of a bundle.

  Args:
    path: the bundle itself, a folder of bundles, or the work folder of a run.
      In the last two, the current bundle is used.

  Raises:
    FileNotFoundError: if there is no bundle.
    ValueError: if the pointer to the current bundle is damaged.
  """
  for place in (path, path / "bundles"):
    if (place / MANIFEST).is_file():
      return place
    if (place / CURRENT).is_file():
      version = current(place)
      if version not in versions(place):
        raise ValueError(
          f"{place / CURRENT} names the bundle {version!r}, which does not "
          f"exist; {REMEDY}"
        )
      return place / version
  raise FileNotFoundError(
    f"there is no bundle in {path}; run --mode=index first, with the same "
    "--workdir"
  )
