"""From sound files to transcripts, with everything wired together."""
