"""What the candidates are worth: metrics, baselines, plots, reports."""
