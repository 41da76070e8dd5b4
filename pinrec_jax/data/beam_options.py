"""Options of Apache Beam, as users write them; it imports Beam."""

import shlex

from apache_beam.options import pipeline_options

# Beam's direct runner. Its other name, DirectRunner, first tries to download
# another one.
RUNNER = "FnApiRunner"


def parsed(text: str, field: str) -> pipeline_options.PipelineOptions:
  """Returns options of a pipeline. Without a runner, this machine runs it.

  Args:
    text: such as "--runner=DataflowRunner --project=PROJECT".
    field: whose value the text is, for the error.

  Raises:
    ValueError: if a runner of this machine does not know an option.
  """
  found = pipeline_options.PipelineOptions(shlex.split(text))
  standard = found.view_as(pipeline_options.StandardOptions)
  standard.runner = standard.runner or RUNNER
  if standard.runner in standard.LOCAL_RUNNERS:
    # Beam would only log it. A cluster may know options that Beam does not.
    unknown = {*found.get_all_options(retain_unknown_options=True)}
    unknown -= {*pipeline_options.PipelineOptions([]).get_all_options()}
    if unknown:
      raise ValueError(
        f"{field} is {text!r} and {', '.join(sorted(unknown))} is unknown to "
        f"{standard.runner}; correct or remove it"
      )
  return found
