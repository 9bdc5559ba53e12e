"""Times of words and lines by a model that is trained on the very recordings it aligns."""
