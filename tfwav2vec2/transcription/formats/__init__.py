"""Transcripts as files: plain text, JSON, subtitles, and what phoneticians and scoring tools read."""
