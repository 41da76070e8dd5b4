"""A log of your own as a TFDS data set; docs/data.md is its schema."""
