"""Self-supervised methods, one per file."""

from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.methods.byol import BYOL
from lightning_stdim.methods.cpc import CPC
from lightning_stdim.methods.dim_ua import DIMUA
from lightning_stdim.methods.global_t_dim import GlobalTDIM
from lightning_stdim.methods.jsd_stdim import JSDSTDIM
from lightning_stdim.methods.latent_prediction import LatentPrediction
from lightning_stdim.methods.pixel_prediction import PixelPrediction
from lightning_stdim.methods.pretrained_agent import PretrainedAgent
from lightning_stdim.methods.random_cnn import RandomCNN
from lightning_stdim.methods.static_dim import StaticDIM
from lightning_stdim.methods.stdim import STDIM
from lightning_stdim.methods.vae import VAE
from lightning_stdim.methods.vicreg import VICReg

__all__ = [
    "BYOL",
    "CPC",
    "DIMUA",
    "JSDSTDIM",
    "STDIM",
    "VAE",
    "GlobalTDIM",
    "LatentPrediction",
    "PixelPrediction",
    "PretrainedAgent",
    "RandomCNN",
    "SSLMethod",
    "StaticDIM",
    "VICReg",
]
