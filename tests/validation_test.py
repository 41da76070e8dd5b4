"""Every bad field is named with its value and a remedy; then all is frozen."""

import dataclasses

import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import validation


def changed(**fields):
  """Returns the default configuration with some fields changed.

  It sets attributes, as the command line does, so types are not checked.
  """
  config = config_lib.Config()
  for path, value in fields.items():
    section, name = path.rsplit(".", 1)
    part = config
    for inner in section.split("."):
      part = getattr(part, inner)
    setattr(part, name, value)
  return config


def test_defaults_are_valid():
  validation.validate(config_lib.Config())


@pytest.mark.parametrize(
  ("field", "value", "remedy"),
  [
    ("model.hidden_dim", 65, "multiple of model.num_heads"),
    ("model.embedding_dim", 63, "multiple of model.num_hashes"),
    ("model.dtype", "float64", "choose from float32, bfloat16"),
    ("model.dropout", 1.0, "below 1"),
    ("model.dropout", "much", "use a value of type float"),
    ("model.offset_edges", (60, 60), "increasing"),
    ("model.offset_edges", ("",), r"or none, as \(\)"),
    ("model.offset_edges", (-60, 60), "above 0"),
    ("model.inputs", ("content", "time"), "list some of content, actions"),
    ("model.id_dropout", 0.1, 'use 0, or add "content" to model.inputs'),
    ("evals.sweep", ("click,save",), "list names"),
    ("train.warmup_steps", -1, "0 or more"),
    ("train.steps", True, "use a value of type int"),
    ("train.steps", 2.5, "use a value of type int"),
    ("loss.in_batch_negatives", -1, "0 or more"),
    ("loss.impression_negatives", -5, "0 or more"),
    ("decode.age", -7, "or -1 for any"),
    ("decode.offsets", (-60,), "0 or more, or -1"),
    ("decode.offsets", (1800.5,), "whole seconds"),
    ("decode.offsets", ("",), r"none is \(\)"),
    ("model.age_edges", (5, 5), "increasing"),
    ("train.steps", -1, "use 0 or more"),
    ("train.warmup_steps", 5000, "fewer than train.steps"),
    ("train.grad_accumulation", 5, "divisor of train.batch_size"),
    ("decode.steps", 64, "above 0 and below data.sequence_length"),
    ("index.kind", "faiss", "auto, scann, exact"),
    ("data.history_events", "all", "engagements, exposures"),
    ("data.events", "events.csv", 'set data.name="custom_log"'),
    ("evals.cutoffs", (), "increasing"),
    ("evals.cutoffs", (0, 10), "above 0"),
    ("evals.cutoffs", (10, 10), "increasing"),
    ("evals.cutoffs", ("",), "above 0"),
  ],
)
def test_a_bad_field_is_named_with_its_value_and_a_remedy(field, value, remedy):
  config = changed(**{field: value})
  if field == "model.id_dropout":
    config.model.inputs = ("actions",)
  with pytest.raises(ValueError, match=remedy) as error:
    validation.validate(config)
  assert field in str(error.value)
  assert repr(value) in str(error.value)


def test_whole_numbers_are_valid_fractions():
  validation.validate(changed(**{"model.dropout": 0}))


def test_sampled_losses_need_a_negative():
  none = {"loss.in_batch_negatives": 0, "loss.uniform_negatives": 0}
  with pytest.raises(ValueError, match="at least one negative"):
    validation.validate(changed(**none))
  # The full softmax draws none.
  validation.validate(changed(**none, **{"loss.full_softmax": True}))


def test_a_state_that_is_the_prediction_is_as_wide_as_an_item():
  validation.validate(changed(**{"model.head": "state"}))
  with pytest.raises(
    ValueError, match=r"model\.hidden_dim \(64\) and model\.embedding_dim"
  ):
    validation.validate(
      changed(**{"model.head": "state", "model.embedding_dim": 32})
    )


@pytest.mark.parametrize(
  ("field", "value"),
  [
    ("decode.budget", "click:1"),
    ("decode.surface", "feed"),
    ("decode.item_type", "AD"),
    ("decode.offsets", (60,)),
    ("evals.oracle_time", True),
  ],
)
def test_an_unconditioned_model_has_no_conditions(field, value):
  validation.validate(changed(**{field: value}))
  with pytest.raises(ValueError, match=r"train with model\.conditioned=True"):
    validation.validate(changed(**{field: value, "model.conditioned": False}))


def test_item_columns_need_an_item_table():
  config = changed(
    **{
      "data.name": "custom_log",
      "data.events": "events.csv",
      "data.custom.column_types": "price:number",
    }
  )
  with pytest.raises(
    ValueError, match=r"column_types is 'price:number'; .*data\.items"
  ):
    validation.validate(config)
  config.data.items = "items.csv"
  config.data.custom.text_embedder = "module:function"
  with pytest.raises(ValueError, match=r"text_embedder is .*column_types"):
    validation.validate(config)


def test_a_valid_configuration_is_frozen():
  config = config_lib.Config()
  validation.validate(config)
  for part in (config, config.model, config.data.custom):
    name = dataclasses.fields(part)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError, match="make a copy"):
      setattr(part, name, getattr(part, name))
  copy = config_lib.replace(config, **{"model.dropout": 0.5})
  copy.model.dropout = 0.25
  copy.data.custom.user = "member"
  assert (config.model.dropout, config.data.custom.user) == (0.2, "user")
  validation.validate(config)  # Again.


def test_an_invalid_configuration_can_still_be_changed():
  config = changed(**{"train.steps": -1})
  with pytest.raises(ValueError, match="steps"):
    validation.validate(config)
  config.train.steps = 100
  validation.validate(config)


def test_an_unknown_field_lists_the_known_ones():
  with pytest.raises(AttributeError, match="no field 'stepz'; it has seed, st"):
    changed(**{"train.stepz": 1})
  with pytest.raises(AttributeError, match="Train has no field 'stepz'"):
    config_lib.replace(config_lib.Config(), **{"train.stepz": 1})


def test_the_inference_part_is_checked_and_frozen_alone():
  part = config_lib.inference(config_lib.Config())
  validation.validate(part)
  with pytest.raises(dataclasses.FrozenInstanceError):
    part.sequence_length = 1
  part = config_lib.replace(part, **{"decode.candidates": -1})
  with pytest.raises(ValueError, match=r"config.decode.candidates is -1"):
    validation.validate(part)


@pytest.mark.parametrize(
  ("field", "remedy"),
  [
    ("data.source", "use a local or mounted disk: copy files of"),
    ("data.events", "use a local or mounted disk: copy files of"),
    ("data.item_vectors", "use a local or mounted disk: copy files of"),
    ("train.init_from", "use a local or mounted disk: copy files of"),
    ("serve.token_file", "use a local or mounted disk: copy files of"),
    ("serve.store", "use a file of a local disk, or redis://"),
  ],
)
def test_an_address_is_not_a_file(field, remedy):
  config = changed(**{field: "s3://bucket/x", "data.name": "custom_log"})
  message = rf"config.{field} is 's3://bucket/x'; .*{remedy}"
  with pytest.raises(ValueError, match=message):
    validation.validate(config)


def test_a_bucket_and_a_redis_server_have_addresses():
  validation.validate(
    changed(
      **{"data.prepared_dir": "gs://b/x", "serve.store": "redis://host:1/0"}
    )
  )
