"""Finding the items near a vector, and making one list of many."""
