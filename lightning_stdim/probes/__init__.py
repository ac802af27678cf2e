"""Probes: how much of the game's state can be read linearly from a representation."""

from lightning_stdim.probes.challenge import ChallengeSettings, check_challenge
from lightning_stdim.probes.converged import ConvergedSettings
from lightning_stdim.probes.evaluate import USUAL_PROTOCOLS, check_protocols, evaluate_encoder
from lightning_stdim.probes.evaluation import Evaluation
from lightning_stdim.probes.majority import majority
from lightning_stdim.probes.metrics import PerVariableScores
from lightning_stdim.probes.online import OnlineProbe
from lightning_stdim.probes.paper import PaperSettings
from lightning_stdim.probes.supervised import Supervised

__all__ = [
    "USUAL_PROTOCOLS",
    "ChallengeSettings",
    "ConvergedSettings",
    "Evaluation",
    "OnlineProbe",
    "PaperSettings",
    "PerVariableScores",
    "Supervised",
    "check_challenge",
    "check_protocols",
    "evaluate_encoder",
    "majority",
]
