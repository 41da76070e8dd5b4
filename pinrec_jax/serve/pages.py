"""The files of the pages that the server hosts."""

import importlib.resources

from starlette import responses

from pinrec_jax.serve.errors import RefusedError

FOLDER = importlib.resources.files("pinrec_jax.serve") / "page"
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
# The page loads nothing from other servers, and no other site can frame it.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:"
SECURE = {
  "content-security-policy": POLICY + "; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
}


def read(name: str) -> responses.Response:
  """Returns a file of the pages.

  Raises:
    RefusedError: if there is none.
  """
  if name not in {path.name for path in FOLDER.iterdir()}:
    raise RefusedError(404, "there is no such page; see /docs")
  kind = TYPES.get(name.rpartition(".")[2], "text/plain")
  return responses.Response(
    (FOLDER / name).read_bytes(),
    media_type=f"{kind}; charset=utf-8",
    headers=SECURE,
  )
