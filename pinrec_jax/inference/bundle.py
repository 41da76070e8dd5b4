"""Bundles: everything that answering requests needs, and nothing else.

A bundle is the seam between training and serving. It holds the parameters
without optimizer state, and the part of the configuration that inference needs.
It also holds the catalog with the users' own item ids, the item vectors, the
index and a manifest with digests. Loading a bundle needs no training code, mesh
or configuration.
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
from pinrec_jax import config_files, files, pace, validation
from pinrec_jax.buckets import work_folder
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import schema
from pinrec_jax.index import build, scann_index
from pinrec_jax.inference import bundle_folders
from pinrec_jax.inference import users as users_lib
from pinrec_jax.model import item_embedder, pinrec
from pinrec_jax.types import Params

CONFIG, CATALOG, INDEX = "config.json", "catalog", "scann"
PARAMS, VECTORS, ROWS = "params.safetensors", "vectors.npy", "hash_rows.npy"
POPULAR, PROJECTION, USERS = "popular.npy", "projection.npy", "users"
LIBRARIES = ("jax", "flax", "numpy", "scann", "pinrec-jax")
CHANGEABLE = ("decode", "index")  # Other fields shape the parameters.


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
    popular: rows of the most popular candidates, the most popular first.
    users: the latest events of the log's users.
  """

  config: config_lib.Inference
  params: Params
  catalog: catalog_lib.Catalog
  features: item_embedder.ItemFeatures
  vectors: Float[np.ndarray, "v d"]
  index: build.Index
  outcome_fractions: Float[np.ndarray, "o"]
  provenance: Provenance
  popular: Int[np.ndarray, "n"] = dataclasses.field(
    default_factory=lambda: np.zeros(0, np.int32)
  )
  users: users_lib.Users = dataclasses.field(default_factory=users_lib.Users)

  @functools.cached_property
  def model(self) -> pinrec.PinRec:
    """The network, without parameters."""
    return pinrec.of_inference(self.config, self.vocabulary)

  @functools.cached_property
  def candidates(self) -> Int[np.ndarray, "c"]:
    """Rows of the items that may be recommended, in the order of the index."""
    return np.flatnonzero(self.catalog.items.candidate).astype(np.int32)

  @functools.cached_property
  def projection(self) -> Float[np.ndarray, "3 d"]:
    """Mean and first two principal axes of the candidates' vectors."""
    vectors = self.vectors[self.candidates].astype(np.float64)
    mean = vectors.mean(0)
    # The eigenvalues of eigh increase.
    axes = np.linalg.eigh(np.cov(vectors.T)).eigenvectors[:, :-3:-1].T
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])
    return np.stack([mean, *(axes * signs[:, None])]).astype(np.float32)

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
    features: features of all items, if they were computed before.
    hidden: items whose id embedding was never trained. They are embedded from
      content alone.
    step: step of the checkpoint.

  Raises:
    ValueError: if `index.filter_seen` is "auto", which only a log resolves.
  """
  if config.index.filter_seen == "auto":
    raise ValueError(
      "config.index.filter_seen is 'auto'; resolve it with the log "
      "(workflows.follow), or name what lists leave out"
    )
  if features is None:
    features = item_embedder.features(
      catalog.items, config.model.num_hashes, config.model.table_size
    )
  if hidden is not None:
    features = features.hide(hidden)
  model = pinrec.of_inference(config, catalog.vocabulary)
  vectors = pinrec.embed_items(model, params, features)
  index = build.build(config.index, vectors[catalog.items.candidate])
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

  Returns:
    The folder of the bundle.
  """
  place = write(bundle, folder)
  bundle_folders.set_current(folder, place.name)
  return place


def write(bundle: Bundle, folder: pathlib.Path) -> pathlib.Path:
  """Writes a bundle into a folder of bundles.

  The bundle's folder is named by a digest of its content. So an unchanged
  bundle is written once, and `bundle_folders.set_current` goes back to an older
  bundle.

  Returns:
    The folder of the bundle.
  """
  new = folder / ".new"
  with files.new_folder(new) as part:
    bundle.catalog.save(part / CATALOG)
    files.write(part / CONFIG, config_files.to_json(bundle.config))
    files.write(part / PARAMS, safetensors.numpy.save(flat_params(bundle)))
    np.save(part / VECTORS, bundle.vectors)
    np.save(part / ROWS, bundle.features.rows)
    np.save(part / PROJECTION, bundle.projection)
    np.save(part / POPULAR, bundle.popular)
    bundle.users.save(part / USERS)
    if isinstance(bundle.index, scann_index.Scann):
      bundle.index.save(part / INDEX)
    about = {
      "step": bundle.provenance.step,
      "libraries": {name: _version(name) for name in LIBRARIES},
      "outcome_fractions": [float(x) for x in bundle.outcome_fractions],
    }
    version = bundle_folders.write_manifest(part, about)
  place = folder / version
  if place.exists():
    shutil.rmtree(new)
  else:
    new.rename(place)
  return place


def flat_params(bundle: Bundle) -> dict[str, np.ndarray]:
  """Returns the parameters by name, as they are written."""
  flat = flax.traverse_util.flatten_dict(dict(bundle.params), sep="/")
  return {name: np.asarray(x, order="C") for name, x in flat.items()}


def load(
  path: pathlib.Path,
  rest: pace.Rest = pace.unpaced,
  /,
  **changes: Any,
) -> Bundle:
  """Reads a bundle and checks every byte of it.

  If ScaNN is not installed, exact search serves, unless the configuration names
  ScaNN.

  Args:
    path: as in `bundle_folders.find`.
    rest: is called after each part of the work.
    **changes: fields of the inference configuration to change, by path, such
      as "decode.candidates".

  Raises:
    AttributeError: if there is no such field.
    FileNotFoundError: if there is no bundle.
    ValueError: naming a file that is damaged or a bad field, or if another
      version of the package wrote the bundle.
  """
  folder = bundle_folders.find(path)
  work_folder.complete(folder)
  manifest, version = bundle_folders.read_manifest(folder, rest)
  rest()
  config = config_files.from_json(
    config_lib.Inference,
    (folder / CONFIG).read_text(encoding="utf-8"),
    str(folder / CONFIG),
  )
  for name in changes:
    if name.partition(".")[0] not in CHANGEABLE:
      raise ValueError(
        f"{name} is fixed by training; change fields of {', '.join(CHANGEABLE)}"
      )
  own = config.index.filter_seen
  config = config_lib.replace(config, **changes)
  if config.index.filter_seen == "auto":  # It was resolved in training.
    config = config_lib.replace(config, **{"index.filter_seen": own})
  validation.validate(config)
  rest()
  catalog = catalog_lib.load(folder / CATALOG, rest)
  rest()
  flat = safetensors.numpy.load_file(folder / PARAMS)
  rest()
  vectors = np.load(folder / VECTORS)
  rest()
  items = catalog.items
  features = item_embedder.ItemFeatures(
    np.load(folder / ROWS), items.categorical, items.dense, items.item_type
  )
  rest()
  candidates = vectors[items.candidate]
  rest()
  index = build.load(config.index, candidates, folder / INDEX)
  rest()
  users = users_lib.load(folder / USERS)
  rest()
  return Bundle(
    config,
    flax.traverse_util.unflatten_dict(flat, sep="/"),
    catalog,
    features,
    vectors,
    index,
    np.array(manifest["outcome_fractions"], np.float32),
    Provenance(manifest["step"], version),
    np.load(folder / POPULAR),
    users,
  )


def _version(name: str) -> str | None:
  """Returns the version of an installed package."""
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None
