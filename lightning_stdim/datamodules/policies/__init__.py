"""Who plays while frames are collected: random play, trained agents, the user's own code."""

from lightning_stdim.datamodules.policies.random_play import (
    POLICIES,
    STICKINESS,
    random_policy,
    sticky_random_policy,
)
from lightning_stdim.datamodules.policies.settings import PolicySettings
from lightning_stdim.datamodules.policies.types import MakePolicy, Observe, Policy

__all__ = [
    "POLICIES",
    "STICKINESS",
    "MakePolicy",
    "Observe",
    "Policy",
    "PolicySettings",
    "random_policy",
    "sticky_random_policy",
]
