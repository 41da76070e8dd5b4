"""The optimisation: state, step, checkpoints, logs and the loop."""
