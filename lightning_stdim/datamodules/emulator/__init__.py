"""The Atari emulator: the protocol's way of stepping it, its colours, its Gymnasium wrapper."""
