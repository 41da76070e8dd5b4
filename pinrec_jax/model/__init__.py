"""The network, from item features and events to predicted item vectors."""
