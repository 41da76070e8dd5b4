"""The files of the pages that the server hosts."""

import importlib.resources

from starlette import responses

from pinrec_jax.serve.errors import RefusedError

FILES = {
  "index.html": "text/html; charset=utf-8",
  "docs.html": "text/html; charset=utf-8",
  "page.css": "text/css; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
  "docs.js": "text/javascript; charset=utf-8",
  "preact-htm.js": "text/javascript; charset=utf-8",
  "LICENSES": "text/plain; charset=utf-8",
}
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
  if name not in FILES:
    raise RefusedError(404, "there is no such page; see /docs")
  path = importlib.resources.files("pinrec_jax.serve") / "page" / name
  return responses.Response(
    path.read_bytes(), media_type=FILES[name], headers=SECURE
  )
