"""Semantic ids, and the model that generates them, against slow references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import semantic_ids
import tiger_model

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema

ITEMS = 60
LENGTH = 24


@pytest.fixture(scope="module")
def ids():
  """Returns the ids of items with few codes, so that some are equal."""
  codes = np.random.default_rng(0).integers(0, 4, (ITEMS, 2))
  return semantic_ids.of_codes(codes)


@pytest.fixture(scope="module")
def model(ids):
  sizes = config_lib.Model(hidden_dim=16, num_layers=2, dropout=0.0)
  return tiger_model.Tiger(ids.sizes, LENGTH, sizes)


@pytest.fixture(scope="module")
def pieces(ids):
  rng = np.random.default_rng(1)
  return [
    tiger_model.tokens_of(rng.integers(1, ITEMS + 1, n), ids)
    for n in (1, 2, 3, 5, 7)
  ]


@pytest.fixture(scope="module")
def params(model, pieces):
  rows = tiger_model.at_ends(pieces, LENGTH)
  params = model.init(jax.random.key(0), *rows)
  # Far from uniform, so that ranks differ.
  return jax.tree.map(lambda own: 4 * own, params)


def test_ids_are_unique_and_lead_to_their_items(ids):
  assert len(np.unique(ids.codes[1:], axis=0)) == ITEMS
  for item in range(1, ITEMS + 1):
    node = 0
    for level, children in enumerate(ids.children):
      node = children[node, ids.codes[item, level]]
    assert node == item
  leaves = ids.children[-1]
  assert sorted(leaves[leaves >= 0]) == list(range(1, ITEMS + 1))


def test_only_chosen_items_are_led_to(ids):
  chosen = np.zeros(ITEMS + 1, bool)
  chosen[[3, 8, 40]] = True
  nodes = {0}
  for children in semantic_ids.among(ids, chosen):
    nodes = {node for own in nodes for node in children[own] if node >= 0}
    assert 1 <= len(nodes) <= 3
  assert nodes == {3, 8, 40}


def test_items_of_one_content_share_their_first_codes():
  rng = np.random.default_rng(2)
  kinds = rng.integers(1, 50, (6, 3))
  kind = rng.integers(0, 6, ITEMS)
  items = schema.Items(
    ids=np.arange(ITEMS + 1),
    item_type=np.zeros(ITEMS + 1, int),
    categorical=np.concatenate([np.zeros((1, 3), int), kinds[kind]]),
    dense=np.zeros((ITEMS + 1, 1), np.float32),
    candidate=np.ones(ITEMS + 1, bool),
  )
  features = (schema.Feature("tag", 50, 2), schema.Feature("author", 50))
  vectors = semantic_ids.content(items, features)
  codes = semantic_ids.residual_codes(vectors, 6, seed=0)[:, 0]
  found = {one: set(codes[kind == one].tolist()) for one in range(6)}
  assert all(len(own) == 1 for own in found.values())
  assert len(set.union(*found.values())) > 1


@pytest.fixture(scope="module")
def log_p(model, params, ids):
  """Returns a function with log p(code | earlier tokens), without a cache."""
  begins = semantic_ids.starts(ids.sizes)
  forward = jax.jit(lambda rows: model.apply(params, *rows)[0][0, -1])

  def of_code(tokens, level, code):
    rows = tiger_model.at_ends([tokens], LENGTH)
    logits = np.asarray(forward(rows), np.float64)
    own = logits[begins[level] : begins[level + 1]]
    return own[code - begins[level]] - np.log(np.exp(own).sum())

  return of_code


@pytest.fixture(scope="module")
def ranked(model, params, pieces, ids, log_p):
  """Returns log p of all items for three histories, and a search function."""
  some = pieces[:3]
  want = np.zeros((len(some), ITEMS + 1))
  for row, tokens in enumerate(some):
    for item in range(1, ITEMS + 1):
      codes = tiger_model.tokens_of(np.array([item]), ids)[1:]
      for level, code in enumerate(codes):
        want[row, item] += log_p(np.append(tokens, codes[:level]), level, code)

  def search(beams):
    children = tuple(map(jnp.asarray, ids.children))
    rows = tiger_model.at_ends(some, LENGTH - len(ids.sizes))
    return jax.device_get(
      tiger_model.search(model, params, children, rows, beams=beams)
    )

  return want, search


def test_a_search_with_enough_beams_ranks_all_items(ranked):
  want, search = ranked
  for row, (found, score) in enumerate(zip(*search(ITEMS), strict=True)):
    order = 1 + np.argsort(-want[row, 1:])
    real = np.isfinite(score)
    np.testing.assert_allclose(score[real], want[row, order], atol=1e-4)
    assert sorted(found[real]) == sorted(order)


@pytest.mark.parametrize("beams", [3, 7])
def test_a_search_with_few_beams_has_the_right_probabilities(ranked, beams):
  want, search = ranked
  for row, (found, score) in enumerate(zip(*search(beams), strict=True)):
    assert len(set(found)) == beams
    np.testing.assert_allclose(score, want[row, found], atol=1e-4)
    assert (np.diff(score) <= 0).all()


def test_loss_of_packed_rows_is_the_mean_over_all_codes(
  model, params, pieces, ids, log_p
):
  rows = tiger_model.in_rows(pieces, LENGTH, seed=0)
  assert len(rows.token) < len(pieces)
  found = tiger_model.loss(model, params, rows, jax.random.key(0))
  losses = [
    -log_p(piece[:end], (end - 1) % len(ids.sizes), piece[end])
    for piece in pieces
    for end in range(1, len(piece))
  ]
  np.testing.assert_allclose(found, np.mean(losses), rtol=1e-4)
