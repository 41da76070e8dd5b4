"""From a history to vectors, each with its share of the budget."""
