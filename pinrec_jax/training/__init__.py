"""Training: state, step, optimizer, checkpoints, logs and the loop."""
