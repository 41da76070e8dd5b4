"""Processes answer requests from a bucket into a bucket."""

import json

import pyarrow.parquet as pq
import s3fs

from pinrec_jax import indexing
from pinrec_jax.batch_retrieval import job
from pinrec_jax.inference import bundle

PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers=2"


def test_processes_share_a_bucket(
  endpoint, small, untrained, world, machine, tmp_path
):
  small.index.kind = "exact"
  found = indexing.with_users(untrained(small).bundle, world)
  bundle.save(found, tmp_path / "work" / "bundles")
  (tmp_path / "asked").mkdir()
  for number in range(3):
    lines = [json.dumps({"user": user}) for user in world.users[number:]]
    (tmp_path / "asked" / f"{number}.jsonl").write_text("\n".join(lines))
  system = s3fs.S3FileSystem()
  for name in ("work", "asked"):
    system.put(str(tmp_path / name), f"bucket/{name}", recursive=True)
  call = ("s3://bucket/work", None, "s3://bucket/asked", None)
  report = job.retrieve(*call, "s3://bucket/lists", options=PROCESSES)
  assert (report.users, report.bad) == (3 * len(world.users) - 3, 0)
  system.get("bucket/lists", str(tmp_path / "copied"), recursive=True)
  job.retrieve(
    tmp_path / "work",
    None,
    str(tmp_path / "asked"),
    None,
    str(tmp_path / "lists"),
  )
  tables = [
    pq.read_table(tmp_path / name / "lists").drop(["file"]).to_pylist()
    for name in ("copied", "lists")
  ]
  assert tables[0] == tables[1]
  machine("second")  # Its disk is empty.
  again = job.retrieve(*call, "s3://bucket/lists", options=PROCESSES)
  assert again.new == 0
