"""Checkpoints: reading, writing, and the hub."""
