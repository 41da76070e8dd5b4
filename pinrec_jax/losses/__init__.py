"""Training objectives: positives, conditions, negatives and the softmax."""
