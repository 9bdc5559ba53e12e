"""One runnable file for each claim about speed, side by side with a peer in one run."""
