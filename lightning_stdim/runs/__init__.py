"""One run: its directory, its results file, its logs and pictures."""
