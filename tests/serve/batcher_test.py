"""The queue in front of the model."""

import asyncio
import threading
import time

import pytest

from pinrec_jax.serve import batcher as batcher_lib


def _batcher(function, **changes):
  settings = {"max_batch": 4, "max_queue": 8, "max_wait": 0.005, **changes}
  return batcher_lib.Batcher(function, **settings)


def _later(seconds=5.0):
  return time.monotonic() + seconds


def test_every_item_gets_its_own_result_in_batches_of_bounded_size():
  sizes = []

  def double(items):
    sizes.append(len(items))
    return [2 * item for item in items]

  async def run():
    queue = _batcher(double, max_queue=20)
    queue.start()
    found = await asyncio.gather(
      *(queue.submit(n, _later()) for n in range(10))
    )
    await queue.stop()
    return found

  assert asyncio.run(run()) == [2 * n for n in range(10)]
  assert max(sizes) == 4
  assert sum(sizes) == 10


def test_a_full_queue_refuses():
  release = threading.Event()

  def block(items):
    release.wait(5)
    return items

  async def run():
    queue = _batcher(block, max_queue=2, max_batch=1)
    queue.start()
    first = asyncio.create_task(queue.submit(0, _later()))
    await asyncio.sleep(0.05)  # The first one is running now.
    waiting = [asyncio.create_task(queue.submit(n, _later())) for n in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(batcher_lib.QueueFullError):
      await queue.submit(3, _later())
    release.set()
    found = await asyncio.gather(first, *waiting)
    await queue.stop()
    with pytest.raises(batcher_lib.QueueFullError):
      await queue.submit(4, _later())
    return found

  assert asyncio.run(run()) == [0, 1, 2]


def test_an_item_past_its_deadline_is_dropped():
  release, seen = threading.Event(), []

  def block(items):
    release.wait(5)
    seen.extend(items)
    return items

  async def run():
    queue = _batcher(block, max_batch=1)
    queue.start()
    first = asyncio.create_task(queue.submit("first", _later()))
    await asyncio.sleep(0.05)
    with pytest.raises(batcher_lib.DeadlineExceededError):
      await queue.submit("late", _later(0.02))
    with pytest.raises(batcher_lib.DeadlineExceededError):
      await queue.submit("too late", _later(-1))
    release.set()
    await first
    await queue.stop()

  asyncio.run(run())
  assert seen == ["first"]


def test_the_earliest_deadline_goes_first():
  release, seen = threading.Event(), []

  def block(items):
    release.wait(5)
    seen.extend(items)
    return items

  async def run():
    queue = _batcher(block, max_batch=1)
    queue.start()
    tasks = [asyncio.create_task(queue.submit("running", _later()))]
    await asyncio.sleep(0.05)
    for name, seconds in (("c", 5), ("a", 3), ("b", 4)):
      tasks.append(asyncio.create_task(queue.submit(name, _later(seconds))))
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*tasks)
    await queue.stop()

  asyncio.run(run())
  assert seen == ["running", "a", "b", "c"]


def test_a_failure_reaches_its_batch_alone():
  def fail_on_one(items):
    if 1 in items:
      raise ValueError("one")
    return items

  async def run():
    queue = _batcher(fail_on_one, max_batch=1)
    queue.start()
    found = await asyncio.gather(
      *(queue.submit(n, _later()) for n in range(3)), return_exceptions=True
    )
    await queue.stop()
    return found

  zero, one, two = asyncio.run(run())
  assert (zero, two) == (0, 2)
  assert isinstance(one, ValueError)


def test_what_waits_is_answered_before_the_end():
  async def run():
    queue = _batcher(lambda items: items, max_wait=10.0)
    queue.start()
    tasks = [asyncio.create_task(queue.submit(n, _later())) for n in range(3)]
    await asyncio.sleep(0.01)
    await queue.stop()
    return await asyncio.gather(*tasks)

  began = time.monotonic()
  assert asyncio.run(run()) == [0, 1, 2]
  assert time.monotonic() - began < 5
