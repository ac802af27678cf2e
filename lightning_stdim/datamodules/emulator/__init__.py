"""The Atari emulator: stepping it as the paper does, its colours, and a wrapper for Gymnasium."""
