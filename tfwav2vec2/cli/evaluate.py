"""``tfwav2vec2 evaluate``: how well a model does on labelled recordings, and where it fails."""
