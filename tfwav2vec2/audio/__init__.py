"""From a sound file to the arrays that a model reads."""
