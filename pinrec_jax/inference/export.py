"""Export: the generation program and the item vectors, for other software.

The exported program is StableHLO. It runs wherever jax.export can read it, and
needs neither Flax nor this package. JAX keeps it readable for six months, so it
is a cache: the bundle stays, and one command writes the program again.
"""

import datetime
import pathlib
from typing import Any

import flax.traverse_util
import jax
import jax.export
import numpy as np
import pandas as pd
import safetensors.numpy

from pinrec_jax import files
from pinrec_jax.data import schema
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import engine, generation, requests, sizes

PROGRAM, ITEMS, MANIFEST = "generate.jaxexport", "items.parquet", "export.json"
PLATFORMS = ("cpu", "cuda", "tpu")
DAYS = 180  # In which JAX promises to read the program.
BATCH = "b"  # Name of the symbolic batch size.


def write(retriever: engine.Retriever, folder: pathlib.Path) -> dict[str, Any]:
  """Writes the program, its parameters and the item vectors.

  Args:
    retriever: of a bundle that was read from a file.
    folder: it is replaced if nothing fails.

  Returns:
    The manifest: who wrote it, for how long it can be read, and what the
    program takes and returns.
  """
  found = retriever.bundle
  exported, arrays = program(retriever)
  today = datetime.date.today()
  manifest = {
    "bundle": found.provenance.version,
    "model_step": found.provenance.step,
    "jax": jax.__version__,
    "written": today.isoformat(),
    "readable_until": (today + datetime.timedelta(DAYS)).isoformat(),
    "platforms": list(exported.platforms),
    "outcomes": [*found.vocabulary.outcome_names, None],
    "inputs": {name: _described(x) for name, x in arrays.items()},
    "outputs": {"vectors": "float32 [b q d]", "shares": "float32 [b q]"},
  }
  with files.new_folder(folder) as part:
    files.write(part / PROGRAM, bytes(exported.serialize()))
    params = safetensors.numpy.save(bundle_lib.flat_params(found))
    files.write(part / bundle_lib.PARAMS, params)
    item_table(found).to_parquet(part / ITEMS, index=False)
    files.write_json(part / MANIFEST, manifest)
  return manifest


def item_table(found: bundle_lib.Bundle) -> pd.DataFrame:
  """Returns the id, vector, type and model step of every candidate."""
  items, rows = found.catalog.items, found.candidates
  return pd.DataFrame(
    {
      "id": items.ids[rows],
      "vector": [*found.vectors[rows].astype(np.float32)],
      "type": np.array(found.vocabulary.item_types)[items.item_type[rows]],
      "step": found.provenance.step,
    }
  )


def program(
  retriever: engine.Retriever,
) -> tuple[jax.export.Exported, dict[str, np.ndarray]]:
  """Returns the generation program, and an example of its inputs.

  The program is a function of two dictionaries. The first one has the
  parameters, named as in the file of a bundle. The second one has the inputs.
  Steps and offsets are those of the configuration.
  """
  found = retriever.bundle
  given = example(retriever)
  steps = retriever.reader.defaults().ask.steps

  def _run(params: dict[str, Any], arrays: dict[str, Any]) -> tuple:
    return generation.vectors(
      found.model,
      flax.traverse_util.unflatten_dict(params, sep="/"),
      joined(arrays, given),
      steps=steps,
      threshold=found.config.decode.dedup_threshold,
    )

  (size,) = jax.export.symbolic_shape(BATCH)
  flat = bundle_lib.flat_params(found)
  arrays = split(given)
  exported = jax.export.export(jax.jit(_run), platforms=PLATFORMS)(
    {name: _spec(x) for name, x in flat.items()},
    {name: _spec(x, size) for name, x in arrays.items()},
  )
  return exported, arrays


def example(
  retriever: engine.Retriever, batch: list[requests.Request] | None = None
) -> generation.Inputs:
  """Returns the inputs of a batch; by default of one empty history."""
  reader = retriever.reader
  defaults = reader.defaults()
  if batch is None:
    nobody = reader.read({"user": "nobody", "events": []}, "", defaults)
    assert isinstance(nobody, requests.Request)
    batch = [nobody]
  steps, offsets = defaults.ask.steps, len(defaults.ask.offsets)
  size = defaults.candidates
  rung = sizes.Rung((len(batch),), steps, offsets, size, size)
  return generation.inputs(
    retriever.bundle,
    retriever.items,
    retriever.bundle.params,
    batch,
    rung,
    steps,
    reader.max_tokens(steps),
  )


def split(given: generation.Inputs) -> dict[str, np.ndarray]:
  """Returns all inputs by name, but for the outcomes, which are fixed."""
  found = given._asdict()
  for name in ("tokens", "conditions"):
    for field, value in found.pop(name)._asdict().items():
      found[f"{name}/{field}"] = value
  found.pop("conditions/outcome")
  return {name: np.asarray(value) for name, value in found.items()}


def joined(
  arrays: dict[str, Any], like: generation.Inputs
) -> generation.Inputs:
  """Returns inputs from arrays by name; outcomes are those of `like`."""
  conditions = _inner(arrays, "conditions")
  return generation.Inputs(
    arrays["item_vectors"],
    schema.Tokens(**_inner(arrays, "tokens")),
    like.conditions._replace(**conditions),
    arrays["select"],
    arrays["budget"],
  )


def _inner(arrays: dict[str, Any], name: str) -> dict[str, Any]:
  prefix = f"{name}/"
  return {
    key.removeprefix(prefix): value
    for key, value in arrays.items()
    if key.startswith(prefix)
  }


def _spec(value: Any, size: Any = None) -> jax.ShapeDtypeStruct:
  """Returns a shape and a type; the first axis gets a symbolic size."""
  shape = value.shape if size is None else (size, *value.shape[1:])
  return jax.ShapeDtypeStruct(shape, value.dtype)


def _described(value: np.ndarray) -> str:
  """Returns a type and a shape as text."""
  shape = " ".join(map(str, (BATCH, *value.shape[1:])))
  return f"{value.dtype} [{shape}]"
