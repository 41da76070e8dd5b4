import pathlib

import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import rules


def _with(field: str, value: object) -> config_lib.Config:
  config = config_lib.Config()
  section, name = field.split(".")
  setattr(getattr(config, section), name, value)
  return config


def test_defaults_are_valid():
  rules.validate(config_lib.Config())


@pytest.mark.parametrize(
  ("field", "value", "remedy"),
  [
    ("model.hidden_dim", 65, "multiple of model.num_heads"),
    ("model.embedding_dim", 63, "multiple of model.num_hashes"),
    ("model.dtype", "float64", "choose from float32, bfloat16"),
    ("model.dropout", 1.0, "below 1"),
    ("model.offset_edges", (60, 60), "increasing"),
    ("model.offset_edges", ("",), r"or none, as \(\)"),
    ("model.offset_edges", (-60, 60), "above 0"),
    ("evals.sweep", ("click,save",), "list names"),
    ("train.warmup_steps", -1, "0 or more"),
    ("train.weight_decay", -0.1, "0 or more"),
    ("evals.examples", -1, "0 or more"),
    ("model.num_fitted_offsets", 0, "above 0"),
    ("loss.temperature", 0.0, "above 0"),
    ("loss.condition_dropout", -0.1, "below 1"),
    ("loss.in_batch_negatives", -1, "0 or more"),
    ("loss.impression_negatives", -5, "0 or more"),
    ("loss.sketch_columns", 1000, "power of two"),
    ("loss.sketch_keep", 1.5, "up to 1"),
    ("decode.age", -7, "or -1 for any"),
    ("decode.offsets", (-60,), "0 or more, or -1"),
    ("decode.offsets", (1800.5,), "whole seconds"),
    ("decode.offsets", ("",), r"none is \(\)"),
    ("model.age_edges", (5, 5), "increasing"),
    ("train.steps", 0, "above 0"),
    ("train.warmup_steps", 5000, "fewer than train.steps"),
    ("train.grad_accumulation", 5, "divisor of train.batch_size"),
    ("decode.steps", 64, "above 0 and below data.sequence_length"),
    ("decode.feedback", "best", "largest, sample"),
    ("index.kind", "faiss", "auto, scann, exact"),
    ("data.history_events", "all", "engagements, exposures"),
    ("evals.cutoffs", (), "increasing"),
    ("evals.cutoffs", (0, 10), "above 0"),
    ("evals.cutoffs", (10, 10), "increasing"),
    ("evals.cutoffs", ("",), "above 0"),
  ],
)
def test_what_cannot_be_is_named_with_its_value_and_a_remedy(
  field, value, remedy
):
  with pytest.raises(ValueError, match=remedy) as error:
    rules.validate(_with(field, value))
  assert field in str(error.value)
  assert repr(value) in str(error.value)


def test_no_negatives_at_all_is_an_error():
  config = _with("loss.in_batch_negatives", 0)
  config.loss.uniform_negatives = 0
  with pytest.raises(ValueError, match="at least one negative"):
    rules.validate(config)
  config.loss.full_softmax = True  # draws none
  rules.validate(config)


def test_a_state_that_answers_is_as_wide_as_an_item():
  config = _with("model.head", "state")
  rules.validate(config)
  config.model.embedding_dim = 32
  with pytest.raises(
    ValueError, match=r"model\.hidden_dim \(64\) and model\.embedding_dim"
  ):
    rules.validate(config)


def test_an_unconditioned_model_cannot_be_told_a_time():
  config = _with("evals.oracle_time", True)
  rules.validate(config)
  config.model.conditioned = False
  with pytest.raises(
    ValueError, match=r"evals\.oracle_time is True; use False"
  ):
    rules.validate(config)


def test_an_unconditioned_model_has_no_budget():
  config = _with("decode.budget", "click:1")
  rules.validate(config)
  config.model.conditioned = False
  with pytest.raises(ValueError, match=r"decode\.budget is 'click:1'; leave"):
    rules.validate(config)


def test_what_is_said_of_items_needs_items():
  config = config_lib.Config()
  config.data.name, config.data.events = "custom_log", "events.csv"
  config.data.custom.numbers = "price"
  with pytest.raises(
    ValueError, match=r"own\.numbers is 'price'; .*data\.items"
  ):
    rules.validate(config)
  config.data.items = "items.csv"
  rules.validate(config)
  config.data.custom.embed = "module:function"
  with pytest.raises(ValueError, match=r"own\.embed .* data\.custom\.text"):
    rules.validate(config)


@pytest.mark.parametrize("address", ["gs://bucket/run", "s3://bucket"])
def test_an_address_is_no_work_folder(address):
  rules.require_folder(pathlib.Path("runs/here:now"))
  with pytest.raises(ValueError, match="is an address; mount the bucket"):
    rules.require_folder(pathlib.Path(address))
