import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pinrec_jax.index import merge_lists

ITEMS, QUERIES, FETCHED, SEEN = 14, 3, 10, 4
EIGHTHS = 8  # Shares are exact in float32, so ties are as in Python.


@st.composite
def requests(draw):
  """Draws neighbours, one share per vector, and the seen items."""
  lists = [
    draw(st.permutations(range(ITEMS)))[:FETCHED] for _ in range(QUERIES)
  ]
  item = []
  for row in lists:
    found = draw(st.integers(0, FETCHED))
    item.append(row[:found] + [-1] * (FETCHED - found))
  cuts = sorted(draw(st.lists(st.integers(0, EIGHTHS), min_size=2, max_size=2)))
  share = np.diff([0, *cuts, EIGHTHS]) / EIGHTHS
  seen = draw(st.sets(st.integers(0, ITEMS - 1), max_size=SEEN))
  return item, share.tolist(), sorted(seen)


def merged(item, share, seen, size):
  """Returns the merged list of one user: items, queries, scores."""
  item = np.array([item], np.int32)
  score = -np.arange(item.size, dtype=np.float32).reshape(item.shape)
  seen = np.pad(seen, (0, SEEN - len(seen)), constant_values=-1)
  found = merge_lists.merge(
    item,
    score,
    np.array([share], np.float32),
    seen[None].astype(np.int32),
    size=size,
  )
  return [np.asarray(column)[0].tolist() for column in found]


def reference(item, share, seen, size):
  """Returns the items and the vectors that found them, one by one."""
  taken, filled, queries = [], [0] * len(item), []
  for rank in range(size):
    free = [
      [i for i in row if i >= 0 and i not in seen and i not in taken]
      for row in item
    ]
    able = [q for q in range(len(item)) if free[q] and share[q] > 0]
    if not able:
      break
    query = max(able, key=lambda q: share[q] * (rank + 1) - filled[q])
    taken.append(free[query][0])
    filled[query] += 1
    queries.append(query)
  return taken, queries


@given(requests())
def test_a_list_equals_that_of_a_slow_reference(request):
  item, query, _ = merged(*request, size=ITEMS)
  taken, queries = reference(*request, size=ITEMS)
  held = len(taken)
  assert item == taken + [-1] * (ITEMS - held)
  assert query[:held] == queries
  assert len(set(taken)) == held
  assert not set(taken) & set(request[2])


@given(requests())
def test_a_score_is_that_of_the_vector_that_found_the_item(request):
  items = request[0]
  for item, query, score in zip(*merged(*request, size=ITEMS), strict=True):
    if item >= 0:
      assert score == -(query * FETCHED + items[query].index(item))


@given(requests())
def test_a_longer_list_starts_with_the_shorter_list(request):
  longer, shorter = (merged(*request, size=size) for size in (ITEMS, 5))
  assert [column[:5] for column in longer] == shorter


@given(
  lists=st.lists(st.permutations(range(ITEMS)), min_size=3, max_size=3),
  share=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
  seen=st.sets(st.integers(0, ITEMS - 1), max_size=SEEN),
)
def test_every_prefix_keeps_the_budget_within_one_item(lists, share, seen):
  share = np.array(share) / np.sum(share)
  size = ITEMS - SEEN  # The neighbours of one vector can fill the list.
  item, query, _ = merged(lists, share, sorted(seen), size)
  assert len(set(item)) == size
  assert -1 not in item
  for length in range(1, size + 1):
    spent = np.bincount(query[:length], minlength=QUERIES)
    assert np.abs(spent - share * length).max() < 1


@given(requests())
def test_a_missing_neighbour_is_never_an_item_of_a_list(request):
  """Neighbours -1 stay out, wherever they are and whatever was seen."""
  item, share, seen = request
  gaps = [[n if place % 3 else -1 for place, n in enumerate(r)] for r in item]
  found, _, _ = merged(gaps, share, seen, size=ITEMS)
  known = {n for row in gaps for n in row if n >= 0}
  listed = [n for n in found if n != -1]
  assert set(listed) <= known
  assert found == listed + [-1] * (ITEMS - len(listed))


def test_users_do_not_influence_each_other():
  rng = np.random.default_rng(0)
  item = np.stack(
    [[rng.permutation(ITEMS)[:FETCHED] for _ in range(2)] for _ in range(3)]
  ).astype(np.int32)
  score = rng.normal(size=item.shape).astype(np.float32)
  share = np.array([[1, 0], [0.5, 0.5], [0.25, 0.75]], np.float32)
  seen = np.full((3, SEEN), -1, np.int32)
  seen[0, 0] = item[0, 0, 0]
  together = merge_lists.merge(item, score, share, seen, size=5)
  for user in range(3):
    own = slice(user, user + 1)
    alone = merge_lists.merge(
      item[own], score[own], share[own], seen[own], size=5
    )
    for one, other in zip(together, alone, strict=True):
      np.testing.assert_array_equal(one[own], other)


def test_many_neighbours_and_seen_items_need_little_memory():
  users, vectors, fetched, seen = 64, 16, 2400, 2368

  list_ = (users, vectors, fetched)
  needed = merge_lists.merge.lower(
    jax.ShapeDtypeStruct(list_, np.int32),
    jax.ShapeDtypeStruct(list_, np.float32),
    jax.ShapeDtypeStruct(list_[:2], np.float32),
    jax.ShapeDtypeStruct((users, seen), np.int32),
    size=100,
  ).compile()
  neighbours = 4 * users * vectors * fetched  # Bytes.
  found = needed.memory_analysis()
  assert found is not None
  assert found.temp_size_in_bytes < 8 * neighbours
