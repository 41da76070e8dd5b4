"""The service without HTTP."""

import asyncio
import gc
import json
import weakref

from pinrec_jax import config as config_lib
from pinrec_jax.inference import bundle_folders
from pinrec_jax.serve import service, sqlite_store


def test_a_swap_frees_the_old_bundle_without_the_collector(make_workdir):
  workdir = make_workdir(versions=2)
  bundles = workdir / "bundles"
  config = config_lib.Config(
    index=config_lib.Index(kind="exact"),
    serve=config_lib.Serve(max_batch=1, max_candidates=5, max_hidden=5),
  )

  async def run():
    store = sqlite_store.SqliteStore(workdir / "store", max_events=5)
    served = service.Service(config, bundles, store)
    await served.start()
    try:
      old = served.serving
      (other,) = {*bundle_folders.versions(bundles)} - {old.version}
      gone = [weakref.ref(x) for x in (old, old.bundle, old.live.snapshot)]
      del old
      gc.disable()
      await served.swap(json.dumps({"version": other}).encode())
      assert served.serving.version == other
      assert [one() for one in gone] == [None, None, None]
    finally:
      gc.enable()
      await served.stop()

  try:
    asyncio.run(run())
  finally:
    gc.unfreeze()
