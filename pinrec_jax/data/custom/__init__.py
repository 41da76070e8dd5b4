"""Custom logs: a user's own files; docs/custom_log.md describes them."""
