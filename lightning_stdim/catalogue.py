"""The methods that ship: what they are called, which class makes them, and what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Needs = Literal["frames", "labels", "file", "nothing"]


@dataclass(frozen=True)
class Method:
    """A method of the catalogue.

    Attributes:
        name: what commands, records and folders call it.
        title: what people call it.
        class_path: dotted path of its LightningModule; None where there is no model.
        needs: what it learns from: ``"frames"`` to pretrain on, ``"labels"`` of the probe frames, a
            ``"file"`` of the user's that holds the encoder, or ``"nothing"``.
        in_default_comparison: whether it is compared unless other methods are named.
        own_protocol: the protocol of a score that no probe makes; None if probes make them all.
    """

    name: str
    title: str
    class_path: str | None
    needs: Needs = "frames"
    in_default_comparison: bool = False
    own_protocol: str | None = None


_METHODS = "lightning_stdim.methods."

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("majority", "Majority", None, "nothing", True, "majority"),
        Method("random-cnn", "Random-CNN", _METHODS + "RandomCNN", "nothing", True),
        Method("vae", "VAE", _METHODS + "VAE"),
        Method("pixel-pred", "Pixel-Pred", _METHODS + "PixelPrediction"),
        Method("cpc", "CPC", _METHODS + "CPC"),
        Method("static-dim", "Static-DIM", _METHODS + "StaticDIM"),
        Method("global-t-dim", "Global-T-DIM", _METHODS + "GlobalTDIM"),
        Method("jsd-st-dim", "JSD-ST-DIM", _METHODS + "JSDSTDIM"),
        Method("st-dim-global-local", "ST-DIM, global-local", _METHODS + "STDIM"),
        Method("st-dim-local-local", "ST-DIM, local-local", _METHODS + "STDIM"),
        Method("st-dim", "ST-DIM", _METHODS + "STDIM", in_default_comparison=True),
        Method("dim-ua", "DIM-UA", _METHODS + "DIMUA"),
        Method("dim-ua-large", "DIM-UA, 16 384 units", _METHODS + "DIMUA"),
        Method("vicreg", "VICReg", _METHODS + "VICReg"),
        Method("byol", "BYOL", _METHODS + "BYOL"),
        Method("latent-prediction", "Latent prediction", _METHODS + "LatentPrediction"),
        Method("pretrained-agent", "Pretrained agent", _METHODS + "PretrainedAgent", "file"),
        Method(
            "supervised",
            "Supervised",
            "lightning_stdim.probes.Supervised",
            "labels",
            True,
            "supervised",
        ),
    )
}
"""All methods by name, in the order in which tables list them."""
