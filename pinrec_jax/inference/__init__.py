"""From requests to candidates."""
