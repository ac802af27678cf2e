"""Means, intervals and comparisons over seeds and games."""
