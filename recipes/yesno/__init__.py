"""The Hebrew yes-no corpus (OpenSLR SLR1) from nothing: one speaker, two words, sixty clips of eight words each."""
