"""Self-supervised methods, one a file."""

from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.methods.pixel_prediction import PixelPrediction
from lightning_stdim.methods.pretrained_agent import PretrainedAgent
from lightning_stdim.methods.random_cnn import RandomCNN
from lightning_stdim.methods.stdim import STDIM
from lightning_stdim.methods.vae import VAE

__all__ = ["STDIM", "VAE", "PixelPrediction", "PretrainedAgent", "RandomCNN", "SSLMethod"]
