"""What compiled programs cost, and the programs for TPUs."""

import importlib.util
import json
import os
import subprocess
import sys

import hlo_costs
import hlo_text
import jax
import jax.numpy as jnp
import pytest
import tpu_chips
import tpu_compile

LOOP = """HloModule loop, is_scheduled=true

%fused (whole: f32[3,8,16], n.2: s32[]) -> f32[8,16] {
  %whole = f32[3,8,16]{2,1,0:T(8,128)} parameter(0)
  %n.2 = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  ROOT %part = f32[1,8,16]{2,1,0} dynamic-slice(%whole, %n.2, %zero)
}

%all-reduce-scatter.1 (param_0.2: f32[16,16]) -> f32[4,16] {
  %param_0.2 = f32[16,16]{1,0} parameter(0)
  %sum = f32[16,16]{1,0} all-reduce(%param_0.2), replica_groups=[2,4]<=[8]
  %where = s32[] constant(0)
  ROOT %part.1 = f32[4,16]{1,0} dynamic-slice(%sum, %where, %where)
}

%body (carry: (s32[], f32[3,8,16])) -> (s32[], f32[3,8,16]) {
  %carry = (s32[], f32[3,8,16]{2,1,0}) parameter(0)
  %n = s32[] get-tuple-element(%carry), index=0
  %all = f32[3,8,16]{2,1,0} get-tuple-element(%carry), index=1
  %own = f32[8,16]{1,0} fusion(%all, %n), kind=kLoop, calls=%fused
  %kept = f32[8,16]{1,0:T(8,128)S(1)} copy(%own)
  %product = f32[16,16]{1,0} convolution(%own, %own), dim_labels=fb_io->bf
  %own.1 = f32[4,16]{1,0} fusion(%product), calls=%all-reduce-scatter.1
  ROOT %next = (s32[], f32[3,8,16]{2,1,0}) tuple(%n, %all)
}

%test (carry.1: (s32[], f32[3,8,16])) -> pred[] {
  %carry.1 = (s32[], f32[3,8,16]{2,1,0}) parameter(0)
  %n.1 = s32[] get-tuple-element(%carry.1), index=0
  %limit = s32[] constant(3)
  ROOT %less = pred[] compare(%n.1, %limit), direction=LT
}

ENTRY %main (g: (s32[], f32[3,8,16])) -> (s32[], f32[3,8,16]) {
  %g = (s32[], f32[3,8,16]{2,1,0}) parameter(0)
  ROOT %r = (s32[], f32[3,8,16]{2,1,0}) while(%g), condition=%test, body=%body
}
"""


def test_the_body_of_a_loop_counts_once_per_iteration():
  costs = hlo_costs.Program(LOOP).costs()
  assert costs.operations == 3 * 2 * 16 * 8 * 16
  one, product = 4 * 8 * 16, 4 * 16 * 16
  # A slice of the stack, its copy into on-chip memory, and the product.
  read = (one + 4 + one) + one + (2 * one + product)
  assert costs.bytes == 3 * (read + product + product // 4) + 3 * 9
  (reduced,) = costs.collectives
  assert (reduced.kind, reduced.group, reduced.times) == (
    "reduce-scatter", 4, 3
  )  # fmt: skip
  assert reduced.moved == product * 3 / 4


def test_operations_of_products_equal_their_definition():
  """Products of this machine's compiler, in a loop of five iterations."""

  def products(x, y):
    return jax.lax.fori_loop(
      0, 5, lambda _, x: jnp.einsum("bij,bjk->bik", x, y), x
    )

  shapes = jnp.ones((3, 4, 8)), jnp.ones((3, 8, 8))
  program = jax.jit(products).lower(*shapes).compile().as_text() or ""
  assert hlo_costs.Program(program).costs().operations == 5 * 2 * 3 * 4 * 8 * 8


@pytest.mark.parametrize(
  ("window", "expected"),
  [
    ("", 4 * 8 * 6),
    # A batch of three products [4, 8] x [8, 6], as the TPU compiler writes it.
    ("size=3 stride=2 pad=0_0 lhs_dilate=3", 3 * 4 * 8 * 6),
    ("size=3 pad=1_1", 7 * 4 * 8 * 6),
  ],
)
def test_a_convolution_counts_the_places_that_it_reads(window, expected):
  labels = "dim_labels=0bf_0io->0bf" if window else "dim_labels=bf_io->bf"
  rest = f"%a, %b), window={{{window}}}, {labels}"
  lead = [3] if window else []
  found = hlo_text.convolution(
    rest, [*lead, 4, 8], [*lead, 8, 6], [*lead, 4, 6]
  )
  assert found == expected


def test_a_group_uses_the_links_of_the_axes_that_it_spans():
  grid, torus = tpu_chips.SLICES["v5e-8"], tpu_chips.SLICES["v5p-64"]
  assert (grid.chips, torus.chips) == (8, 64)
  rates = [grid.collective_rate(group) for group in (2, 4, 8)]
  assert rates == [45e9, 45e9, 90e9]
  rates = [torus.collective_rate(group) for group in (4, 16, 64)]
  assert rates == [180e9, 360e9, 540e9]


@pytest.mark.parametrize(
  ("text", "devices"),
  [
    ("{{0,1},{2,3}}, dimensions={0}", 2),
    ("[4,16]<=[64]", 16),
    ("mesh['axis_0'=8,'axis_1'=1] {'axis_0'}, dimensions={0}", 8),
    ("mesh['a'=16,'b'=4], device_ids=([4,16]T(1,0)) {'b'}, x={0}", 4),
    ("mesh['a'=64] {'a':(2)8}", 8),
  ],
)
def test_the_compiler_names_groups_in_several_ways(text, devices):
  assert hlo_text.group_size(f"replica_groups={text}") == devices


def test_the_compiler_says_how_much_a_program_needs_that_does_not_fit():
  error = "Ran out of memory. Used 33.25G of 15.75G hbm. Exceeded by 17.50G."
  assert tpu_compile.needed(error) == 33.25 * 2**30
  with pytest.raises(RuntimeError, match="another reason"):
    tpu_compile.needed("another reason")


SMALL = (
  "--layers=2", "--width=256", "--heads=2", "--length=256", "--rows=1",
  "--requests=1", "--negatives=4096", "--items=5000", "--table_size=65536",
)  # fmt: skip


needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None,
  reason="the package libtpu is missing; install the extra tpu",
)


def _cases(script, tmp_path, *arguments):
  """Returns the cases that a benchmark compiled."""
  path = tmp_path / "found.json"
  environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  subprocess.run(
    [sys.executable, script, f"--output={path}", *arguments],
    check=True,
    env=environment,
  )
  return json.loads(path.read_text())["cases"]


@pytest.mark.tpu
@needs_libtpu
def test_a_search_for_eight_chips_keeps_no_scores(tmp_path):
  cases = _cases(
    "benchmarks/tpu_search.py", tmp_path, "--cases", "v5e-8/64/1152",
    "--items=1000000",
  )  # fmt: skip
  found = cases["v5e-8/64/1152"]
  assert "PartialReduce" in found["custom_calls"]
  assert found["temporary_bytes"] < 4 * 1152 * 1_000_000 / 8 / 4
  # Devices exchange what they found: a score and a row per neighbour.
  (kind, moved), *others = found["collectives"].items()
  assert (kind, others) == ("all-gather", [])
  assert moved["bytes"] == 1152 * 256 * 8 * 7


@pytest.mark.tpu
@needs_libtpu
def test_a_small_step_compiles_for_eight_chips(tmp_path):
  cases = _cases(
    "benchmarks/tpu_compile.py", tmp_path, "--cases", "v5e-8/1b/step",
    "v5e-8/1b/generation", *SMALL,
  )  # fmt: skip
  step, generation = cases["v5e-8/1b/step"], cases["v5e-8/1b/generation"]
  assert step["fits"]
  assert generation["fits"]
  # The state is donated. Outputs that are no state are single numbers.
  assert step["output_bytes"] - step["alias_bytes"] < 100_000
  assert not [name for name in step["custom_calls"] if "callback" in name]
  table = 4 * 65536 * 128
  for one in step["largest_collectives"]:
    assert hlo_text.size(one["shape"]) < table, one
    # Negatives are gathered once, not in each block of them.
    inner = one["source"].endswith("dynamic_slice")
    assert not (one["kind"] == "all-gather" and inner), one
  assert generation["collectives"] == {}
