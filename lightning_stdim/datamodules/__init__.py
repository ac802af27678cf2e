"""Atari frames: emulator, labels, store, samplers and the data module."""

if __name__ != "lightning_stdim.datamodules":
    # The checkout's top-level link would make a second copy of every class.
    raise ImportError("import lightning_stdim.datamodules: the top-level datamodules is only a link")
