"""Metrics, baselines, and reports as text and plots."""
