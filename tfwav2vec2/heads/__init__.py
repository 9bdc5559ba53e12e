"""What stands on the backbone: one file for each task."""
