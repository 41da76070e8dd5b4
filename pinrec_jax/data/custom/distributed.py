"""The checks of a custom log's files as an Apache Beam pipeline.

Every file is checked by one worker, which writes its good rows into the shared
folder. The process that started the pipeline sorts them.
"""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam

from pinrec_jax.data import beam_options
from pinrec_jax.data.custom import events


def check(jobs: Sequence[tuple[Any, ...]], options: str) -> None:
  """Runs `events.check` on every job.

  Args:
    jobs: its arguments.
    options: of the pipeline, such as "--runner=DataflowRunner".

  Raises:
    ValueError: if a runner of this machine does not know an option.
  """
  found = beam_options.parsed(options, "config.data.beam_options")
  with beam.Pipeline(options=found) as pipeline:
    _ = (
      pipeline
      | "files" >> beam.Create(list(jobs))
      | "spread" >> beam.Reshuffle()
      | "check" >> beam.Map(_run)
    )


def _run(job: tuple[Any, ...]) -> None:
  events.check(*job)
