"""From a log of interactions to batches: schema, builders, pipeline."""
