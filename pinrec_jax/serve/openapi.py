"""The OpenAPI document of the server."""

import functools
from typing import Any

import msgspec

import pinrec_jax
from pinrec_jax.inference import answers, wire
from pinrec_jax.serve import messages

REQUEST = {
  "user": "u1",
  "events": [{"item": 4214, "actions": ["is_click"], "time": 1651000000}],
  "candidates": 10,
}
TYPES = (
  wire.RequestFields, answers.Answer, answers.Failure, messages.Many,
  messages.Answers, messages.NewEvents, messages.Stored, messages.History,
  messages.NewItem, messages.Item, messages.Items, messages.Changed,
  messages.Swap, messages.Served, messages.Error,
)  # fmt: skip


@functools.cache
def document() -> dict[str, Any]:
  """Returns the OpenAPI document."""
  _, schemas = msgspec.json.schema_components(
    TYPES, ref_template="#/components/schemas/{name}"
  )
  return {
    "openapi": "3.1.0",
    "info": {
      "title": "PinRec",
      "version": pinrec_jax.__version__,
      "description": "Outcome-conditioned retrieval with a budget per request.",
    },
    "paths": _paths(),
    "components": {
      "schemas": schemas,
      "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
    "security": [{}, {"token": []}],
  }


def _paths() -> dict[str, Any]:
  """Returns all paths."""
  swap: dict[str, Any] = {}
  return {
    "/v1/retrieve": {
      "post": _call(
        "Returns a user's candidates, or those of several users.",
        (wire.RequestFields, messages.Many),
        (answers.Answer, messages.Answers),
        example=REQUEST,
      )
    },
    **_of_users(),
    **_of_items(),
    "/v1/bundle": {
      "get": _call("Returns what is served.", (), (messages.Served,)),
      "post": _call(
        "Loads another bundle beside the running one, then swaps.",
        (messages.Swap,),
        (messages.Served,),
        example=swap,
      ),
    },
    "/livez": {"get": _call("Whether the process runs.", (), ())},
    "/readyz": {"get": _call("Whether requests are answered.", (), ())},
  }


def _of_users() -> dict[str, Any]:
  """Returns the paths of users."""
  user = _parameter("user", "path")
  return {
    "/v1/users/{user}/events": {
      "post": _call(
        "Stores events of a user; the user's next request uses them.",
        (messages.NewEvents,),
        (messages.Stored,),
        [user],
        example={"events": REQUEST["events"]},
      )
    },
    "/v1/users/{user}": {
      "get": _call(
        "Returns a user's history.", (), (messages.History,), [user]
      ),
      "delete": _call(
        "Deletes a user's stored events.", (), (messages.Stored,), [user]
      ),
    },
  }


def _of_items() -> dict[str, Any]:
  """Returns the paths of items."""
  item = _parameter("item", "path")
  page = [
    _parameter("query", "query"),
    _parameter("limit", "query", kind="integer", minimum=1, maximum=1000),
    _parameter("after", "query", kind="integer", minimum=0),
  ]
  return {
    "/v1/items": {
      "get": _call(
        "Returns items by a part of id, title or attribute, in pages.",
        (),
        (messages.Items,),
        page,
      )
    },
    "/v1/items/{item}": {
      "put": _call(
        "Adds or replaces an item.",
        (messages.NewItem,),
        (messages.Changed,),
        [item],
        example={"features": {}},
      ),
      "delete": _call("Deletes an item.", (), (messages.Changed,), [item]),
    },
  }


def _parameter(name: str, place: str, **schema: Any) -> dict[str, Any]:
  kind = schema.pop("kind", "string")
  own = {"type": kind, **schema}
  if place == "path":
    own["minLength"] = 1
  return {"name": name, "in": place, "required": place == "path", "schema": own}


def _call(
  summary: str,
  given: tuple[type, ...],
  found: tuple[type, ...],
  parameters: list[dict[str, Any]] | None = None,
  *,
  example: Any = None,
) -> dict[str, Any]:
  """Returns one operation; every one may also fail."""
  operation: dict[str, Any] = {"summary": summary}
  if parameters:
    operation["parameters"] = parameters
  if given:
    content = {**_schema(given), "example": example}
    operation["requestBody"] = {
      "required": True,
      "content": {"application/json": content},
    }
  success: dict[str, Any] = {"description": "done"}
  if found:
    success["content"] = {"application/json": _schema(found)}
  failure = {
    "description": "failed",
    "content": {"application/json": _schema((messages.Error,))},
  }
  operation["responses"] = {"200": success, "default": failure}
  return operation


def _schema(kinds: tuple[type, ...]) -> dict[str, Any]:
  refs = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in kinds]
  return {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}
