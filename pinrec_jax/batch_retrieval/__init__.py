"""Lists for all users at once, as an Apache Beam pipeline."""
