"""Generating vectors from a history, each with its share of the budget."""
