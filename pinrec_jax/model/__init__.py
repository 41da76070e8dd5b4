"""The network: item features and events in, predicted item vectors out."""
