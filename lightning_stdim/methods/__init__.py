"""Self-supervised methods, one a file."""

from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.methods.dim_ua import DIMUA
from lightning_stdim.methods.global_t_dim import GlobalTDIM
from lightning_stdim.methods.jsd_stdim import JSDSTDIM
from lightning_stdim.methods.pixel_prediction import PixelPrediction
from lightning_stdim.methods.pretrained_agent import PretrainedAgent
from lightning_stdim.methods.random_cnn import RandomCNN
from lightning_stdim.methods.static_dim import StaticDIM
from lightning_stdim.methods.stdim import STDIM
from lightning_stdim.methods.vae import VAE

__all__ = [
    "DIMUA",
    "JSDSTDIM",
    "STDIM",
    "VAE",
    "GlobalTDIM",
    "PixelPrediction",
    "PretrainedAgent",
    "RandomCNN",
    "SSLMethod",
    "StaticDIM",
]
