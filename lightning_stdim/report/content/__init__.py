"""The content of the report: its summary, a section per game, the published tables."""
