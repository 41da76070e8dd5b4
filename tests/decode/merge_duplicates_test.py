import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pinrec_jax.decode.merge_duplicates import merge_duplicates


def _reference(query, share, threshold):
  order = sorted(range(len(share)), key=lambda n: (-share[n], n))
  share = share.copy()
  for nth, own in enumerate(order):
    kept = [n for n in order[:nth] if share[n] > 0]
    if kept:
      near = max(kept, key=lambda n: query[own] @ query[n])
      if query[own] @ query[near] > threshold:
        share[near] += share[own]
        share[own] = 0
  return share


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.7, 0.9, 1.0]))
def test_shares_equal_those_of_a_plain_loop_and_keep_their_sum(seed, threshold):
  rng = np.random.default_rng(seed)
  query = rng.normal(size=(2, 6, 3)).astype(np.float32)
  query /= np.linalg.norm(query, axis=-1, keepdims=True)
  share = rng.dirichlet(np.ones(6), 2).astype(np.float32)
  got = np.asarray(merge_duplicates(query, share, threshold=threshold))
  for n in range(2):
    want = _reference(query[n], share[n], threshold)
    np.testing.assert_allclose(got[n], want, atol=1e-6)
  np.testing.assert_allclose(got.sum(-1), 1, atol=1e-5)


def test_the_vector_with_the_larger_share_is_kept():
  query = np.array([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
  share = np.array([[0.1, 0.3, 0.3, 0.3]])
  got = merge_duplicates(query, share, threshold=0.9)
  np.testing.assert_allclose(got, [[0, 0.4, 0.6, 0]], atol=1e-6)


def test_a_threshold_of_1_merges_nothing():
  query = np.random.default_rng(0).normal(size=(64, 1, 64)).astype(np.float32)
  query /= np.linalg.norm(query, axis=-1, keepdims=True)
  query = np.repeat(query, 2, axis=1)
  assert (np.einsum("bd,bd->b", query[:, 0], query[:, 1]) > 1).any()
  share = np.full((64, 2), 0.5, np.float32)
  np.testing.assert_array_equal(
    merge_duplicates(query, share, threshold=1.0), share
  )


def test_no_two_kept_vectors_are_near_duplicates():
  rng = np.random.default_rng(0)
  query = rng.normal(size=(1, 12, 2)).astype(np.float32)
  query /= np.linalg.norm(query, axis=-1, keepdims=True)
  share = np.full((1, 12), 1 / 12, np.float32)
  got = np.asarray(merge_duplicates(query, share, threshold=0.8))[0]
  kept = query[0][got > 0]
  cosine = kept @ kept.T - 2 * np.eye(len(kept))
  assert 1 < len(kept) < 12
  assert cosine.max() <= 0.8
