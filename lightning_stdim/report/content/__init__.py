"""What the report says: its summary, a section per game, the published tables."""
