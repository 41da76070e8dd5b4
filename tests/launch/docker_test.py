"""The Dockerfile, and launch/docker.sh with a fake docker."""

import pathlib
import re
import subprocess
import sys

import pytest
from packaging import requirements

ROOT = pathlib.Path(__file__).parent.parent.parent
SCRIPT = "launch/docker.sh"
DOCKERFILE = (ROOT / "launch/docker/Dockerfile").read_text()
BUILD = ["docker", "build", "--file=launch/docker/Dockerfile"]


@pytest.fixture
def docker(stage):
  stage.add("docker")
  return stage


def _copied() -> list[str]:
  """Returns the files and folders that the image copies."""
  lines = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
  return [name for line in lines for name in line.split()]


def test_build_and_push(docker):
  ran = docker.run(SCRIPT, "--dry-run")
  assert ran.stdout.split() == [
    *(*BUILD, "--build-arg=EXTRAS=cpu", "--tag=pinrec_jax:cpu", ".")
  ]
  assert not docker.calls()
  env = {"EXTRAS": "tpu", "IMAGE": "r.dev/p/pinrec_jax:1", "PUSH": "1"}
  ran = docker.run(SCRIPT, "--pull", **env)
  assert ran.returncode == 0, ran.stderr
  assert docker.calls() == [
    [*BUILD, "--build-arg=EXTRAS=tpu", f"--tag={env['IMAGE']}", "--pull", "."],
    ["docker", "push", env["IMAGE"]],
  ]


@pytest.mark.parametrize(
  ("env", "complaint"),
  [
    ({"EXTRAS": "rocm"}, "EXTRAS is 'rocm'; choose cpu, cuda12, cuda13 or tpu"),
    ({"IMAGE": "A b"}, "IMAGE is 'A b'; write it as REGISTRY/NAME:TAG"),
    ({"PUSH": "yes"}, "PUSH is 'yes'; set it to 1 to push"),
    ({"PUSH": "1"}, "IMAGE is 'pinrec_jax:cpu', which names no registry"),
  ],
)
def test_a_mistake_is_named_before_anything_runs(docker, env, complaint):
  ran = docker.run(SCRIPT, **env)
  assert ran.returncode == 1
  assert complaint in ran.stderr
  assert not docker.calls()


@pytest.mark.parametrize("extras", ["cpu", "cuda12", "cuda13", "tpu"])
def test_it_installs_the_dependencies_of_setup(extras):
  """Runs the Python lines of the Dockerfile."""
  found = re.search(r"<<'PYTHON'\n(.*?)^PYTHON$", DOCKERFILE, re.DOTALL | re.M)
  assert found is not None
  ran = subprocess.run(
    [sys.executable, "-", extras],
    input=found.group(1),
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  wanted = [requirements.Requirement(t) for t in ran.stdout.split("\n") if t]
  plugins = {extra for want in wanted for extra in want.extras}
  assert plugins == ({extras} - {"cpu"})
  assert {"flax", "jax", "grain", "redis", "tensorflow-datasets"} <= {
    want.name for want in wanted
  }


def test_copied_files_exist_and_are_not_ignored():
  ignored = (ROOT / ".dockerignore").read_text().splitlines()
  kept = {line[1:] for line in ignored if line.startswith("!")}
  assert kept == set(_copied())
  assert "*" in ignored
  assert all((ROOT / name).exists() for name in kept)


def test_it_runs_the_program_without_root_rights():
  lines = DOCKERFILE.splitlines()
  assert lines[-1] == 'ENTRYPOINT ["python", "-m", "pinrec_jax.main"]'
  assert lines[-2] == "USER 1000"
  images = [line.split()[1] for line in lines if line.startswith("FROM ")]
  assert len(set(images)) == 1  # An environment works only in its own image.
  assert re.fullmatch(r"python:3\.1[123]\.\d+-slim-\w+", images[0])
