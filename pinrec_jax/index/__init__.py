"""Nearest-neighbour search, and merging its results into one list."""
