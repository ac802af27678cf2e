"""Encoders: modules that map frames to a global vector, and most of them to a local map too.

Every method and probe can use any of them. Encoders take uint8 frames and scale them by 1/255
themselves, so that frames stay bytes until they are on the device that encodes them.
"""

from lightning_stdim.encoders.agent import AgentEncoder
from lightning_stdim.encoders.atlas import UnionEncoder
from lightning_stdim.encoders.base import (
    LocalGlobalEncoder,
    feature_dim_of,
    frame_stack,
    require_local_map,
)
from lightning_stdim.encoders.build import DEFAULT_ENCODER, build_encoder, with_channels
from lightning_stdim.encoders.impala import ImpalaEncoder
from lightning_stdim.encoders.nature import NatureEncoder
from lightning_stdim.encoders.pretrained import resolve_encoder

__all__ = [
    "DEFAULT_ENCODER",
    "AgentEncoder",
    "ImpalaEncoder",
    "LocalGlobalEncoder",
    "NatureEncoder",
    "UnionEncoder",
    "build_encoder",
    "feature_dim_of",
    "frame_stack",
    "require_local_map",
    "resolve_encoder",
    "with_channels",
]
