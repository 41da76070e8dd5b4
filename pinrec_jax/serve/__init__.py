"""The server: HTTP, batching, live items, histories, and the page."""
