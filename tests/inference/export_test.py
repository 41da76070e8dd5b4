"""Exported programs and item vectors, read without this package."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pinrec_jax.inference import engine, export, generation, requests

READER = """
import sys
for name in ("pinrec_jax", "flax", "optax", "orbax"):
  sys.modules[name] = None
import jax, numpy as np, safetensors.numpy
folder, given, output = sys.argv[1:]
program = jax.export.deserialize(
  bytearray(open(f"{folder}/generate.jaxexport", "rb").read())
)
params = safetensors.numpy.load_file(f"{folder}/params.safetensors")
vectors, shares = program.call(params, dict(np.load(given)))
np.savez(output, vectors=vectors, shares=shares)
""".replace("import jax,", "import jax, jax.export,")


def _batch(retriever, size):
  """Returns requests with different histories and budgets."""
  reader = retriever.reader
  found = []
  for n in range(size):
    given = {
      "user": f"u{n}",
      "events": [
        {"item": 100 + (n + k) % 30, "actions": ["click"], "time": 1000 + k}
        for k in range(n % 7)
      ],
      "budget": {"click": 0.5, "save": 0.5} if n % 2 else {"like": 1},
    }
    parsed = reader.read(given, "", reader.defaults())
    assert isinstance(parsed, requests.Request), parsed
    found.append(parsed)
  return found


@pytest.fixture
def exported(saved, tmp_path):
  """A retriever, and the folder of its exported files."""
  retriever = engine.Retriever.load(saved())
  export.write(retriever, tmp_path / "export")
  return retriever, tmp_path / "export"


@pytest.mark.parametrize("size", [1, 5, 32])
def test_an_exported_program_generates_what_the_model_does(
  exported, tmp_path, size
):
  retriever, folder = exported
  given = export.example(retriever, _batch(retriever, size))
  arrays: dict = export.split(given)
  np.savez(tmp_path / "given.npz", **arrays)
  command = [sys.executable, "-c", READER, folder, tmp_path / "given.npz"]
  subprocess.run([*command, tmp_path / "found.npz"], check=True)
  found = np.load(tmp_path / "found.npz")
  config = retriever.bundle.config
  vectors, shares = generation.vectors(
    retriever.bundle.model,
    retriever.bundle.params,
    given,
    steps=config.decode.steps,
    threshold=config.decode.dedup_threshold,
  )
  np.testing.assert_allclose(found["vectors"], vectors, atol=2e-6)
  np.testing.assert_allclose(found["shares"], shares, atol=2e-6)
  assert np.ptp(found["vectors"]) > 0.1


def test_the_manifest_says_who_can_read_the_program(exported):
  retriever, folder = exported
  manifest = json.loads((folder / "export.json").read_text())
  assert manifest["platforms"] == ["cpu", "cuda", "tpu"]
  assert manifest["jax"]
  assert manifest["readable_until"] > manifest["written"]
  assert manifest["bundle"] == retriever.bundle.provenance.version
  assert manifest["inputs"]["item_vectors"].startswith("float32 [b ")


def test_item_vectors_have_the_users_own_ids(exported):
  retriever, folder = exported
  table = pd.read_parquet(folder / "items.parquet")
  found = retriever.bundle
  assert (
    table["id"].tolist() == found.catalog.items.ids[found.candidates].tolist()
  )
  np.testing.assert_array_equal(
    np.stack(table["vector"].tolist()), found.vectors[found.candidates]
  )
  assert set(table["type"]) == {"AD", "NORMAL"}
  assert (table["step"] == found.provenance.step).all()
