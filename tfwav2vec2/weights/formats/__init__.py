"""One file for each checkpoint format, read or written, and what a format needs to be read safely."""
