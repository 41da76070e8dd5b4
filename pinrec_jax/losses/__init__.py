"""What is minimised, and the sampling probabilities it needs."""
