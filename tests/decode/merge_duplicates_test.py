import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pinrec_jax.decode.merge_duplicates import merge_duplicates


def _reference(query, share, outcome, threshold):
  share = share.copy()
  for own in range(len(share)):
    kept = [n for n in range(own) if share[n] and outcome[n] == outcome[own]]
    if kept:
      near = max(kept, key=lambda n: query[own] @ query[n])
      if query[own] @ query[near] > threshold:
        share[near] += share[own]
        share[own] = 0
  return share


def _unit(rng, *shape):
  query = rng.normal(size=shape).astype(np.float32)
  return query / np.linalg.norm(query, axis=-1, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(
  st.integers(0, 10**6),
  st.integers(1, 3),
  st.sampled_from([0.3, 0.7, 0.9, 1.0]),
)
def test_shares_equal_those_of_a_plain_loop(seed, outcomes, threshold):
  rng = np.random.default_rng(seed)
  query = _unit(rng, 2, 6, 3)
  share = rng.dirichlet(np.ones(6), 2).astype(np.float32)
  share[:, seed % 6] = 0
  outcome = rng.integers(outcomes, size=(2, 6))
  got = np.asarray(merge_duplicates(query, share, outcome, threshold=threshold))
  for n in range(2):
    want = _reference(query[n], share[n], outcome[n], threshold)
    np.testing.assert_allclose(got[n], want, atol=1e-6)
    for own in range(outcomes):
      np.testing.assert_allclose(
        got[n, outcome[n] == own].sum(),
        share[n, outcome[n] == own].sum(),
        atol=1e-6,
      )


def test_the_earlier_vector_of_an_outcome_is_kept():
  query = np.array([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
  share = np.array([[0.1, 0.3, 0.3, 0.3]])
  outcome = np.zeros((1, 4), int)
  got = merge_duplicates(query, share, outcome, threshold=0.9)
  np.testing.assert_allclose(got, [[0.4, 0, 0.6, 0]], atol=1e-6)


def test_equal_vectors_of_different_outcomes_keep_their_shares():
  query = np.ones((1, 4, 1))
  share = np.array([[0.5, 0.2, 0.2, 0.1]])
  got = merge_duplicates(query, share, np.array([[0, 1, 0, 1]]), threshold=0.9)
  np.testing.assert_allclose(got, [[0.7, 0.3, 0, 0]], atol=1e-6)


def test_a_threshold_of_1_merges_nothing():
  query = np.repeat(_unit(np.random.default_rng(0), 64, 1, 64), 2, axis=1)
  assert (np.einsum("bd,bd->b", query[:, 0], query[:, 1]) > 1).any()
  share = np.full((64, 2), 0.5, np.float32)
  outcome = np.zeros((64, 2), int)
  np.testing.assert_array_equal(
    merge_duplicates(query, share, outcome, threshold=1.0), share
  )


def test_no_two_kept_vectors_are_near_duplicates():
  query = _unit(np.random.default_rng(0), 1, 12, 2)
  share, outcome = np.full((1, 12), 1 / 12, np.float32), np.zeros((1, 12), int)
  got = np.asarray(merge_duplicates(query, share, outcome, threshold=0.8))[0]
  kept = query[0][got > 0]
  cosine = kept @ kept.T - 2 * np.eye(len(kept))
  assert 1 < len(kept) < 12
  assert cosine.max() <= 0.8
