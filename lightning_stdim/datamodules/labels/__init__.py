"""Labels: the meaning of the bytes of a game's RAM (AtariARI), and the places of objects.

A label set is a list of annotated variables of every game; see
:mod:`~lightning_stdim.datamodules.labels.annotations`.
"""

from lightning_stdim.datamodules.labels.annotations import (
    CATEGORIES,
    MAX_LABEL,
    Annotation,
    annotation,
    probed_in_paper,
    ram2label,
)
from lightning_stdim.datamodules.labels.entropy_filter import ENTROPY_THRESHOLD, entropy, scored
from lightning_stdim.datamodules.labels.games import (
    LabelSet,
    canonical_game,
    default_label_set,
    games,
    nearest_game,
)

__all__ = [
    "CATEGORIES",
    "ENTROPY_THRESHOLD",
    "MAX_LABEL",
    "Annotation",
    "LabelSet",
    "annotation",
    "canonical_game",
    "default_label_set",
    "entropy",
    "games",
    "nearest_game",
    "probed_in_paper",
    "ram2label",
    "scored",
]
