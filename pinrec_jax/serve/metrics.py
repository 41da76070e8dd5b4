"""Metrics of the server, in the format of Prometheus."""

import prometheus_client
from prometheus_client import core

from pinrec_jax.serve import snapshots

STAGES = ("queue", "parse", "model", "search", "merge", "total")
SECONDS = (
  0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5,
)  # fmt: skip
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
  """Counters, gauges and histograms of one server."""

  def __init__(self) -> None:
    self.registry = core.CollectorRegistry()
    self._stage = prometheus_client.Histogram(
      "pinrec_stage_seconds",
      "Time of a request by stage.",
      ["stage"],
      buckets=SECONDS,
      registry=self.registry,
    )
    self._by_stage = {name: self._stage.labels(name) for name in STAGES}
    self._batch = prometheus_client.Histogram(
      "pinrec_batch_size",
      "Requests in a batch.",
      buckets=BATCHES,
      registry=self.registry,
    )
    self.requests = self._counter("requests", "Requests by outcome.", "kind")
    self._responses = prometheus_client.Counter(
      "pinrec_responses",
      "Responses by route and status.",
      ["route", "status"],
      registry=self.registry,
    )
    self.events = self._counter("events", "Events that were stored.")
    self.upserts = self._counter("item_changes", "Item changes.", "kind")
    self.skew = self._counter(
      "skew", "Histories compared with those of training.", "result"
    )
    self.queue = self._gauge("queue_length", "Requests that wait.")
    self.items = self._gauge("items", "Items that can be recommended.")
    self.delta = self._gauge("delta_items", "Items outside the base index.")
    self.deleted = self._gauge("deleted_items", "Items of the base index that "
                               "are deleted or replaced.")  # fmt: skip
    self.index = self._gauge("index_version", "Version of the live items.")
    self.ready = self._gauge("ready", "1 if the server answers requests.")
    self.store_writable = self._gauge(
      "store_writable", "1 if the last write to the store succeeded."
    )
    self.journal_lag = self._gauge(
      "journal_lag_seconds",
      "Age of the oldest item change of another server that may be missing.",
    )
    self.bundle = prometheus_client.Info(
      "pinrec_bundle", "The bundle that is served.", registry=self.registry
    )

  def observe(self, stage: str, value: float) -> None:
    """Records the seconds of a stage, or the size of a batch."""
    if stage == "batch":
      self._batch.observe(value)
    else:
      self._by_stage[stage].observe(value)

  def respond(self, route: str, status: int) -> None:
    """Counts a response."""
    self._responses.labels(route, status).inc()

  def of_items(self, snapshot: snapshots.Snapshot) -> None:
    """Records the numbers of items."""
    self.items.set(snapshot.count)
    self.delta.set(len(snapshot.place_rows) - snapshot.base)
    self.deleted.set(snapshot.dead)
    self.index.set(snapshot.version)

  def of_bundle(self, version: str, step: int) -> None:
    """Records which bundle is served."""
    self.bundle.info({"version": version, "model_step": str(step)})

  def render(self) -> bytes:
    """Returns all metrics as text."""
    return prometheus_client.generate_latest(self.registry)

  def _counter(self, name: str, text: str, *labels: str):
    return prometheus_client.Counter(
      f"pinrec_{name}", text, labels, registry=self.registry
    )

  def _gauge(self, name: str, text: str):
    return prometheus_client.Gauge(
      f"pinrec_{name}", text, registry=self.registry
    )
