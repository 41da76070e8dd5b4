"""setup.cfg lists every folder of the package."""

import configparser
import pathlib

ROOT = pathlib.Path(__file__).parent.parent


def test_every_folder_of_code_is_installed():
  setup = configparser.ConfigParser()
  setup.read(ROOT / "setup.cfg")
  listed = setup["options"]["packages"].split()
  folders = {path.parent for path in (ROOT / "pinrec_jax").rglob("*.py")}
  found = {".".join(path.relative_to(ROOT).parts) for path in folders}
  assert set(listed) == found | {"pinrec_jax.configs"}
  assert setup["options"]["package_dir"].split() == [
    "pinrec_jax.configs", "=", "configs",
  ]  # fmt: skip
