import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import synthetic

SIZE = synthetic.Size(items=40, topics=4, events=50)
USERS = 600


def config(folder, users):
  return config_lib.Data(
    name="synthetic", prepared_dir=str(folder), synthetic_users=users
  )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  folder = tmp_path_factory.mktemp("prepared")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(synthetic, "SIZE", SIZE)
    return dataset_lib.load(config(folder, USERS))


def test_what_follows_is_as_likely_as_the_world_says(made):
  world = synthetic.world(SIZE)
  size = SIZE.topics * SIZE.items
  counts = np.zeros((SIZE.topics, 3, SIZE.items))
  for events in made.events:
    acted = events.where(events.engaged)
    item = made.items.ids[acted.item]
    place = world.topic[item[:-1]] * SIZE.items + item[1:]
    masks = np.concatenate([place[None] >= 0, acted.actions[1:, :2].T > 0])
    for n, mask in enumerate(masks):
      found = np.bincount(place[mask], minlength=size)
      counts[:, n] += found.reshape(SIZE.topics, SIZE.items)
  for topic in range(SIZE.topics):
    for place, outcome in enumerate((None, 0, 1)):
      chances = world.chances(topic, outcome)
      assert abs(chances.sum() - 1) < 1e-9
      seen = counts[topic, place]
      expected = chances * seen.sum()
      # About one a degree of freedom.
      assert np.sum((seen - expected) ** 2 / expected) < 2 * SIZE.items
      # A world of another topic would not do.
      other = world.chances((topic + 2) % SIZE.topics, outcome) * seen.sum()
      assert np.sum((seen - other) ** 2 / other) > 20 * SIZE.items


def test_outcomes_ask_for_other_items():
  world = synthetic.world(SIZE)
  click, save = world.chances(1, 0), world.chances(1, 1)
  assert set(np.argsort(-click)[:4]) != set(np.argsort(-save)[:4])
  assert world.topic[np.argmax(click)] == 2  # the one after it


def test_users_are_the_same_in_a_larger_world(monkeypatch):
  monkeypatch.setattr(synthetic, "USERS", 100)
  whole = list(synthetic.logs(range(USERS), SIZE))
  assert len(whole) == 6
  larger = synthetic.logs(range(1000), SIZE)
  for one, other in zip(whole, larger, strict=False):
    assert one.equals(other)
  assert not whole[0]["item"].equals(whole[1]["item"])


def test_a_large_world_is_prepared_in_pieces(tmp_path, monkeypatch):
  monkeypatch.setattr(synthetic, "USERS", 20)
  monkeypatch.setattr(synthetic, "SIZE", SIZE)
  whole = dataset_lib.load(config(tmp_path / "one", 50))
  monkeypatch.setattr(synthetic, "SPLIT", 1)
  pieces = dataset_lib.load(config(tmp_path / "many", 50))
  assert (
    len({p.name.split("-")[1] for p in pieces.folder.glob("*record*")}) == 3
  )
  assert len(whole.users) == len(pieces.users) == 50
  order = np.argsort(pieces.users)[np.argsort(np.argsort(whole.users))]
  for events, place in zip(whole.events, order, strict=True):
    assert events.item.tolist() == pieces.events[place].item.tolist()
