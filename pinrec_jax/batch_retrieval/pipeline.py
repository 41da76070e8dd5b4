"""Shards as an Apache Beam pipeline.

An element is a shard. `RunInference` loads one model per process, which all of
its threads share, and gives a thread one shard at a time. The requests of a
shard are answered in batches of one size, and its files are written before the
next shard. So no list passes through the runner, memory does not grow with the
number of users, and no shuffle changes which requests share a batch.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import metric
from apache_beam.ml.inference import base
from apache_beam.options import pipeline_options

from pinrec_jax.batch_retrieval import answering, shards, tables

NAMESPACE = "pinrec_jax"  # Of the counters that a runner shows.


class Handler(base.ModelHandler[shards.Shard, tables.Done, answering.Answerer]):
  """Answers shards in a pipeline, one at a time."""

  def __init__(self, task: answering.Task) -> None:
    """Keeps what every worker needs to know."""
    super().__init__(min_batch_size=1, max_batch_size=1)
    self._task = task

  def load_model(self) -> answering.Answerer:
    """Reads the bundle, once in a process."""
    return answering.Answerer(self._task)

  def run_inference(
    self,
    batch: Sequence[shards.Shard],
    model: answering.Answerer,
    inference_args: dict[str, Any] | None = None,
  ) -> Iterator[tables.Done]:
    """Writes the lists of shards and yields their counts."""
    for shard in batch:
      yield model.answer(shard)

  def get_metrics_namespace(self) -> str:
    """Returns the namespace of Beam's own counters."""
    return NAMESPACE


def run(
  task: answering.Task,
  todo: Sequence[shards.Shard],
  options: pipeline_options.PipelineOptions,
) -> None:
  """Answers shards; returns when all are answered.

  Args:
    task: what every worker needs to know.
    todo: the shards.
    options: of the pipeline.

  Raises:
    OSError: if the pipeline failed.
  """
  try:
    with beam.Pipeline(options=options) as pipeline:
      _ = (
        pipeline
        | "shards" >> beam.Create(list(todo))
        | "spread" >> beam.Reshuffle()
        | "answer" >> base.RunInference(Handler(task))
        | "count" >> beam.Map(_count)
      )
  except Exception as error:
    raise OSError(
      f"the pipeline failed: {error}\nAll finished shards are kept, and the "
      "same command answers the rest"
    ) from error


def _count(done: tables.Done) -> None:
  for name in ("users", "bad"):
    metric.Metrics.counter(NAMESPACE, name).inc(getattr(done, name))
