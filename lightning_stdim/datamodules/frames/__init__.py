"""Frames in memory, on the device or on disk, and batches gathered from them."""
