"""The methods that ship: their names, their classes, and what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Needs = Literal["frames", "labels", "file", "nothing"]

_PACKAGE = "lightning_stdim"


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

    @property
    def has_model(self) -> bool:
        """Whether there is a model, and so an encoder that can be probed."""
        return self.class_path is not None

    @property
    def pretrains(self) -> bool:
        """Whether it is trained on frames without labels."""
        return self.needs == "frames"

    @property
    def trains_nothing(self) -> bool:
        """Whether the encoder is random or read from a file, the same whatever frames there are."""
        return self.has_model and self.needs in ("nothing", "file")


_METHODS = f"{_PACKAGE}.methods."

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
            f"{_PACKAGE}.probes.Supervised",
            "labels",
            True,
            "supervised",
        ),
    )
}
"""All methods by name, in the order in which tables list them."""

DEFAULT_COMPARISON = tuple(name for name, one in METHODS.items() if one.in_default_comparison)
"""Names of the methods that are compared unless others are named."""

WITH_MODEL = tuple(name for name, one in METHODS.items() if one.has_model)
"""Names of the methods that a file of ``configs/methods`` configures."""


def method_named(name: str) -> Method:
    """Describe a method by its name in a record or a table.

    Args:
        name: any.

    Returns:
        The catalogue's entry. A method that is not in it is the user's: its title is its name, and
        it is taken to have a model that is pretrained on frames.
    """
    return METHODS.get(name) or Method(name, name, class_path=name)


def of_class(class_path: str) -> Method | None:
    """Find a method that a class of this package makes.

    Args:
        class_path: a dotted path, or the name of the class alone.

    Returns:
        The first method of that class; None for a class of the user's.
    """
    package, _, name = class_path.rpartition(".")
    if package and package.partition(".")[0] != _PACKAGE:
        return None
    known = (one for one in METHODS.values() if one.class_path)
    return next((one for one in known if str(one.class_path).endswith(f".{name}")), None)
