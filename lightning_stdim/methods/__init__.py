"""Self-supervised methods, one a file."""

from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.methods.random_cnn import RandomCNN
from lightning_stdim.methods.stdim import STDIM

__all__ = ["STDIM", "RandomCNN", "SSLMethod"]
