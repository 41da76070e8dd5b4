"""The documentation names existing things, and its sums are right."""

import copy
import json
import os
import pathlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys

import pytest
import tpu_compile
import tpu_search
from absl import flags
from ml_collections import config_flags

from pinrec_jax import config as config_lib
from pinrec_jax import main, validation
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer
from pinrec_jax.training import state as state_lib

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
TOOLS = (
  "cd", "curl", "echo", "export", "git", "kubectl", "nginx", "redis-server",
  "source", "tr",
)  # fmt: skip
FOLDERS = (
  "benchmarks", "configs", "docs", "launch", "pinrec_jax", "results", "tests",
)  # fmt: skip
BREAKS = ";&|()<>\n"
# ml_collections imports a configuration file in a way that Python deprecates.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)
every_page = pytest.mark.parametrize(
  "page", PAGES, ids=lambda p: str(p.relative_to(ROOT))
)


def _fences(page, language):
  text = page.read_text()
  return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def _commands(text):
  """Yields the words of each command of a script."""
  text = text.replace("\\\n", " ")
  lexer = shlex.shlex(text, posix=True, punctuation_chars=BREAKS)
  lexer.whitespace, lexer.whitespace_split = " \t", True
  words = []
  for word in [*lexer, "\n"]:
    if not set(word) <= set(BREAKS) or word == ">":
      words.append(word)
    elif words:
      yield words
      words = []


def _parse(arguments):
  """Reads arguments as pinrec_jax.main does; raises on invalid ones."""
  values = flags.FlagValues()
  argv = ["main", *arguments]
  config_flags.DEFINE_config_file(
    "config", lock_config=True, flag_values=values, sys_argv=argv
  )
  for name in (
    "mode", "workdir", "histories", "budget", "output", "beam_options",
  ):  # fmt: skip
    values[name] = copy.deepcopy(main.flags.FLAGS[name])
  rest = values(argv)
  assert rest[1:] == []
  if values.config is not None:
    assert values.config.train  # A file that cannot be read raises here.
    validation.validate(values.config)


def _check(words):
  """Raises if a command names an unknown script, file, flag or field."""
  while re.match(r"[A-Z_]+=", words[0]):  # EXTRAS=cuda12 bash ...
    words = words[1:]
  if words[0].startswith("--"):  # Flags that describe a custom log.
    _parse(["--config=configs/custom_log.py", *words])
    return
  tool, *words = words
  tool = tool.removeprefix(".venv/bin/")
  if ">" in words:
    words = words[: words.index(">")]
  if tool not in ("bash", "python", ".ci/run", *TOOLS):
    raise ValueError(f"{tool} is an unknown tool; add it to TOOLS")
  if tool not in ("bash", "python"):
    return
  script, *words = words
  if script == "-m":
    script, *words = words
    assert script in ("pinrec_jax.main", "pip", "pytest", "ruff")
  else:
    assert (ROOT / script).is_file()
  if script == "benchmarks/claims/reproduce.py":
    log = "--config=benchmarks/claims/logs.py:"
    words = [re.sub("^--log=", log, w) for w in words]
  if script == "benchmarks/claims/report.py":
    assert all((ROOT / name).exists() for name in words)
  elif script.startswith("benchmarks/"):
    source = (ROOT / script).read_text()
    own = re.findall(r'add_argument\(\s*"(--\w+)"', source)
    named = [w for w in words if w.startswith("--")]
    _parse(
      w
      for w in named
      if w.split("=")[0] not in own or w.startswith("--config=")
    )
  elif script in (
    "launch/local.sh", "launch/daily.sh", "launch/serve.sh", "pinrec_jax.main",
  ):  # fmt: skip
    _parse(w for w in words if w not in ("--dry-run", "cron", "kubernetes"))
  else:
    files = [w for w in words if w.endswith((".py", ".json", ".md"))]
    assert all((ROOT / name).is_file() for name in files)


def _without_fences(page):
  return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)


@every_page
def test_commands_name_existing_things(page, monkeypatch):
  monkeypatch.chdir(ROOT)
  for script in _fences(page, "bash"):
    for command in _commands(script):
      _check(command)


@every_page
def test_reproduction_names_the_test_of_every_command(page):
  page_text = (ROOT / "docs" / "reproduction.md").read_text()
  table = page_text.partition("## What the tests run")[2]
  rows = re.findall(r"^\| (`.*?) \| (.*) \|$", table, re.M)
  fits = [part for first, _ in rows for part in re.findall(r"`(.*?)`", first)]
  for script in _fences(page, "bash"):
    for command in _commands(script):
      text = " ".join(command)
      assert text[:2] == "--" or any(part in text for part in fits), command
  for _, by in rows:
    assert by.startswith("none: ") or re.match(r"`tests/.*` `test_\w+`", by)


@pytest.mark.parametrize(
  "command",
  [
    "bash launch/absent.sh",
    "bash launch/local.sh --config=configs/absent.py",
    "bash launch/local.sh --config=configs/demo.py --config.train.stepz=1",
    "bash launch/local.sh --config=configs/demo.py --config.train.steps=many",
    "bash launch/local.sh --config=configs/demo.py --config.train.steps=-1",
    "bash launch/local.sh --config=configs/demo.py --moed=train",
    "bash launch/local.sh --config=configs/demo.py --mode=tarin",
    "python benchmarks/seeds.py --config=configs/demo.py --seedz=3",
    "bash launch/test.sh tests/absent_test.py",
    "rm FILE",
  ],
)
def test_an_invalid_command_is_found(command, monkeypatch):
  monkeypatch.chdir(ROOT)
  with pytest.raises(
    (AssertionError, KeyError, OSError, ValueError, flags.Error)
  ):
    _check(*_commands(command))


@every_page
def test_named_files_tests_and_fields_exist(page):
  text = _without_fences(page)
  for name in re.findall(r"\]\((?!http)([^)#]+)", text):
    assert (page.parent / name).exists(), name
  for name in re.findall(r"`((?:\w+/)+\w+\.(?:py|md|sh|json|txt))", text):
    if name.split("/")[0] in FOLDERS:
      assert (ROOT / name).is_file(), name
  for path, test in re.findall(
    r"`(tests/[\w/]+\.py)`[ \n|]+`(test_\w+)`", text
  ):
    assert f"def {test}(" in (ROOT / path).read_text(), test
  sections = "data|model|loss|train|decode|index|evals"
  for name in re.findall(rf"`(?:config\.)?((?:{sections})\.[a-z_.]+)", text):
    part = config_lib.Config()
    for field in name.rstrip(".").split("."):
      part = getattr(part, field)


def test_the_table_of_fields_is_current():
  generated = runpy.run_path(str(ROOT / "docs" / "configuration.py"))
  assert (ROOT / "docs" / "configuration.md").read_text() == generated["page"]()
  for section, fields in generated["meanings"]().items():
    for field, meaning in fields.items():
      assert meaning, f"{section}.{field} has no comment"


def _stored(name):
  """Returns the cases that were compiled for TPUs."""
  path = ROOT / "results" / f"{name}.json"
  return json.loads(path.read_text())["cases"]


def test_what_was_compiled_for_tpus_is_what_the_pages_say():
  cases, page = _stored("tpu_compile"), ROOT / "docs" / "scaling.md"
  assert tpu_compile.table(cases) in page.read_text()
  assert tpu_search.table(_stored("tpu_search")) in page.read_text()
  summary = (ROOT / "launch" / "tpu_compiled.txt").read_text()
  assert summary == tpu_compile.summary(cases)


@every_page
def test_sums_are_right(page):
  """A line "name = expression  # value" of Python states the right value."""
  for script in _fences(page, "python"):
    if "import " in script:  # An example, not a sum.
      continue
    known = {n: _stored(f"tpu_{n}") for n in ("compile", "search")}
    known["cases"] = known.pop("compile")
    for line in script.splitlines():
      exec(line, known)
      stated = re.search(r"=.*# ([\d,.]+)", line)
      if stated:
        value = stated[1].replace(",", "").rstrip(".")
        digits = len(value.partition(".")[2])
        got = known[line.split(" = ")[0]]
        assert round(got, digits) == float(value), f"{line}: it is {got}"


def test_the_demo_has_the_stated_number_of_parameters(mini):
  config = runpy.run_path(str(ROOT / "configs" / "demo.py"))["get_config"]()
  model = pinrec.of_config(config, mini.vocabulary)
  shapes = state_lib.shapes(model, optimizer.build(config.train))
  text = (ROOT / "docs" / "operations.md").read_text()
  assert f"# {state_lib.num_parameters(shapes):,}\n" in text


@pytest.fixture
def applied(tmp_path):
  """A copy of the package and its tests with the worked examples applied."""
  for name in ("pinrec_jax", "tests"):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
  shutil.copy(ROOT / "pyproject.toml", tmp_path)
  # Git must not look for a repository around the copy.
  env = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
  for diff in _fences(ROOT / "CONTRIBUTING.md", "diff"):
    assert diff.count("\n") <= 60
    subprocess.run(
      ["git", "apply"], input=diff, text=True, check=True, cwd=tmp_path, env=env
    )
  return tmp_path


def test_the_worked_examples_apply(applied):
  text = (ROOT / "CONTRIBUTING.md").read_text()
  names = re.findall(r"^\+\+\+ b/(.*)$", text, re.M)
  assert len(names) >= 6
  assert all((applied / name).is_file() for name in names)


@pytest.mark.slow
def test_the_worked_examples_work(applied):
  folders = [f"tests/{name}" for name in ("data", "decode", "losses", "model")]
  folders.append("tests/floors_test.py")
  subprocess.run(
    [
      sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
      "-k", "gowalla or few or faded or downwards", *folders,
    ],
    check=True,
    cwd=applied,
    env=os.environ | {"PYTHONPATH": str(applied)},
  )  # fmt: skip
