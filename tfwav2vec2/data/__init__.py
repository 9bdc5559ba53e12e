"""Recordings and what is to be learned from them, to batches."""
