"""From a sound file to the arrays that a model reads."""

# What models hear, in Hz.
SAMPLE_RATE = 16_000
