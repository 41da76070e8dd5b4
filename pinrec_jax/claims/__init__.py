"""Claims put to the test: what is run, how it is judged, what is written."""
