"""The wav2vec 2.0 encoder: waveform to contextual frames, stage by stage."""
