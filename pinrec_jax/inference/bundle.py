"""Bundles: everything that answering requests needs, and nothing else.

A bundle is the seam between training and serving. It holds the parameters
without optimizer state, the part of the configuration that inference needs, the
catalog with the users' own item ids, the item vectors, the index and a manifest
with digests. Loading one needs no training code, mesh or configuration.
"""

import dataclasses
import functools
import importlib.metadata
import pathlib
import shutil
from typing import Any, NamedTuple

import flax.traverse_util
import numpy as np
import safetensors.numpy
from jaxtyping import Bool, Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, files
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import schema
from pinrec_jax.index import build, scann_index
from pinrec_jax.model import item_embedder, pinrec
from pinrec_jax.types import Params

FORMAT = 1  # Raised when older bundles can no longer be read.
MANIFEST, CURRENT = "manifest.json", "current"
LIBRARIES = ("jax", "flax", "numpy", "scann", "pinrec-jax")
VERSION_LENGTH = 16  # Characters of the digest that names a bundle.
REMEDY = "write the bundle again with --mode=index"


class Provenance(NamedTuple):
  """Where a bundle comes from.

  Attributes:
    step: step of the checkpoint.
    version: digest that names the bundle; empty if it was never written.
  """

  step: int
  version: str = ""


@dataclasses.dataclass(frozen=True)
class Bundle:
  """A model with its catalog and index.

  Attributes:
    config: the part of the configuration that inference needs.
    params: parameters of the model.
    catalog: the items, with the users' own ids.
    features: features of all items; a hidden item id has hash rows -1.
    vectors: unit-norm vectors of all items.
    index: over the vectors of the candidates.
    outcome_fractions: fraction of each outcome in the training log, which is
      the default budget.
    provenance: where the bundle comes from.
  """

  config: config_lib.Inference
  params: Params
  catalog: catalog_lib.Catalog
  features: item_embedder.ItemFeatures
  vectors: Float[np.ndarray, "v d"]
  index: build.Index
  outcome_fractions: Float[np.ndarray, "o"]
  provenance: Provenance

  @functools.cached_property
  def model(self) -> pinrec.PinRec:
    """The network, without parameters."""
    return pinrec.of_inference(self.config, self.vocabulary)

  @functools.cached_property
  def candidates(self) -> Int[np.ndarray, "c"]:
    """Rows of the items that may be recommended, in the order of the index."""
    return np.flatnonzero(self.catalog.items.candidate).astype(np.int32)

  @property
  def vocabulary(self) -> schema.Vocabulary:
    """Names of actions, surfaces and item types."""
    return self.catalog.vocabulary


def create(
  config: config_lib.Inference,
  params: Params,
  catalog: catalog_lib.Catalog,
  outcome_fractions: Float[np.ndarray, "o"],
  *,
  features: item_embedder.ItemFeatures | None = None,
  hidden: Bool[np.ndarray, "v"] | None = None,
  step: int = 0,
) -> Bundle:
  """Embeds all items and builds the index.

  Args:
    config: the part of the configuration that inference needs.
    params: parameters of the model.
    catalog: the items.
    outcome_fractions: fraction of each outcome in the training log.
    features: features of all items, if they are at hand.
    hidden: items whose id embedding was never trained. They are embedded from
      content alone.
    step: step of the checkpoint.
  """
  if features is None:
    features = item_embedder.features(
      catalog.items, config.model.num_hashes, config.model.table_size
    )
  if hidden is not None:
    features = features.hide(hidden)
  model = pinrec.of_inference(config, catalog.vocabulary)
  vectors = pinrec.embed_items(model, params, features)
  candidates = np.flatnonzero(catalog.items.candidate)
  index = build.build(config.index, vectors[candidates])
  return Bundle(
    config,
    params,
    catalog,
    features,
    vectors,
    index,
    outcome_fractions,
    Provenance(step),
  )


def save(bundle: Bundle, folder: pathlib.Path) -> pathlib.Path:
  """Writes a bundle into a folder of bundles and makes it the current one.

  The bundle's folder is named by a digest of its content. So an unchanged
  bundle is written once, and `set_current` goes back to an older one.

  Returns:
    The folder of the bundle.
  """
  new = folder / ".new"
  with files.new_folder(new) as part:
    bundle.catalog.save(part / "catalog")
    files.write(part / "config.json", config_files.to_json(bundle.config))
    flat = flax.traverse_util.flatten_dict(dict(bundle.params), sep="/")
    safetensors.numpy.save_file(
      {name: np.array(x, order="C") for name, x in flat.items()},
      part / "params.safetensors",
    )
    np.save(part / "vectors.npy", bundle.vectors)
    np.save(part / "hash_rows.npy", bundle.features.rows)
    if isinstance(bundle.index, scann_index.Scann):
      bundle.index.save(part / "scann")
    manifest = {
      "format": FORMAT,
      "step": bundle.provenance.step,
      "libraries": {name: _version(name) for name in LIBRARIES},
      "outcome_fractions": [float(x) for x in bundle.outcome_fractions],
      "files": files.digests(part),
    }
    files.write_json(part / MANIFEST, manifest)
    digest = files.digest(part / MANIFEST)
    files.write(part / "manifest.sha256", digest + "\n")
  place = folder / digest[:VERSION_LENGTH]
  if place.exists():
    shutil.rmtree(new)
  else:
    new.rename(place)
  set_current(folder, place.name)
  return place


def set_current(folder: pathlib.Path, version: str) -> None:
  """Makes a bundle of a folder the current one.

  Raises:
    FileNotFoundError: naming the bundles there are.
  """
  if not (folder / version / MANIFEST).is_file():
    known = sorted(p.parent.name for p in folder.glob(f"*/{MANIFEST}"))
    raise FileNotFoundError(
      f"there is no bundle {version!r} in {folder}; it has {', '.join(known)}"
    )
  files.write(folder / CURRENT, version + "\n")


def find(path: pathlib.Path) -> pathlib.Path:
  """Returns the folder of a bundle.

  Args:
    path: the bundle itself, a folder of bundles, or the work folder of a run;
      of the last two, the current bundle is meant.

  Raises:
    FileNotFoundError: if there is no bundle.
    ValueError: if the pointer to the current bundle is damaged.
  """
  for place in (path, path / "bundles"):
    if (place / MANIFEST).is_file():
      return place
    if (place / CURRENT).is_file():
      version = (place / CURRENT).read_text(encoding="utf-8").strip()
      if not (place / version / MANIFEST).is_file():
        raise ValueError(
          f"{place / CURRENT} names the bundle {version!r}, which is not there; "
          + REMEDY
        )
      return place / version
  raise FileNotFoundError(
    f"there is no bundle in {path}; run --mode=index first, with the same "
    "--workdir"
  )


def load(path: pathlib.Path, **changes: Any) -> Bundle:
  """Reads a bundle and checks every byte of it.

  If ScaNN is not installed, exact search serves, unless the configuration names
  ScaNN.

  Args:
    path: as in `find`.
    **changes: fields of the inference configuration to change, by path, such
      as "decode.candidates".

  Raises:
    FileNotFoundError: if there is no bundle.
    ValueError: naming a file that is damaged, or if another version of the
      package wrote the bundle.
  """
  folder = find(path)
  manifest = _manifest(folder)
  config = config_files.from_json(
    config_lib.Inference,
    (folder / "config.json").read_text(encoding="utf-8"),
    str(folder / "config.json"),
  )
  config = config_lib.replace(config, **changes)
  catalog = catalog_lib.load(folder / "catalog")
  flat = safetensors.numpy.load_file(folder / "params.safetensors")
  vectors = np.load(folder / "vectors.npy")
  items = catalog.items
  return Bundle(
    config,
    flax.traverse_util.unflatten_dict(flat, sep="/"),
    catalog,
    item_embedder.ItemFeatures(
      np.load(folder / "hash_rows.npy"),
      items.categorical,
      items.dense,
      items.item_type,
    ),
    vectors,
    _index(folder, config.index, vectors[items.candidate]),
    np.array(manifest["outcome_fractions"], np.float32),
    Provenance(
      manifest["step"], files.digest(folder / MANIFEST)[:VERSION_LENGTH]
    ),
  )


def _manifest(folder: pathlib.Path) -> dict[str, Any]:
  """Returns the manifest, once all files agree with it."""
  files.check(
    folder, {MANIFEST: (folder / "manifest.sha256").read_text().strip()}, REMEDY
  )
  manifest = files.read_json(folder / MANIFEST)
  if manifest["format"] != FORMAT:
    raise ValueError(
      f"{folder} has the bundle format {manifest['format']}, this version of "
      f"pinrec_jax reads format {FORMAT}; {REMEDY}"
    )
  files.check(folder, manifest["files"], REMEDY)
  return manifest


def _index(
  folder: pathlib.Path,
  config: config_lib.Index,
  vectors: Float[np.ndarray, "c d"],
) -> build.Index:
  """Returns the index of a bundle.

  Raises:
    ValueError: if ScaNN is asked for by name and cannot be used.
  """
  scann_index.require(config.kind)
  written = (folder / "scann").is_dir()
  if config.kind == "scann" and not written:
    raise ValueError(
      f"config.index.kind is 'scann', and {folder} was written without ScaNN; "
      + REMEDY
    )
  if written and config.kind != "exact" and scann_index.available():
    return scann_index.Scann.load(folder / "scann")
  return build.exact.Exact(vectors)


def _version(name: str) -> str | None:
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None
