"""Between label ids and text."""
