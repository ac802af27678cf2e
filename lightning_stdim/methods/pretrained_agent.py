"""PRETRAINED-RL-AGENT: the features of an agent that was trained to play."""

from __future__ import annotations

from typing import Any

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.frozen import FrozenMethod


class PretrainedAgent(FrozenMethod):
    """The frozen features from which a trained agent computes its actions.

    Source: Anand et al. 2019 (arXiv 1906.08226), PRETRAINED-RL-AGENT, with an agent trained by PPO.

    Args:
        agent: file with the agent, a Nature actor: a Stable-Baselines3 checkpoint (``.zip``),
            ``.pt``, ``.pth`` or ``.safetensors``. Checkpoints of this method hold its weights, so
            loading them does not need the file.
        encoder: ignored with an agent, whose encoder is always an ``AgentEncoder``; checkpoints
            name it here.
        encoder_args: ignored with an agent; checkpoints name the encoder's keyword arguments here.

    Raises:
        ConfigurationError: no agent is given.
        EncoderError: the file does not hold a Nature actor.
        StoreError: the file is missing or damaged.
    """

    name = "pretrained-agent"
    default_encoder = "lightning_stdim.encoders.AgentEncoder"

    def __init__(
        self,
        *,
        agent: str | None = None,
        encoder: str | None = None,
        encoder_args: dict[str, Any] | None = None,
    ) -> None:
        if agent is not None:  # a preset may name an encoder for other methods
            encoder, encoder_args = self.default_encoder, {"path": agent}
        elif encoder_args is None:
            raise ConfigurationError(
                "PretrainedAgent needs an agent: --model.agent FILE, such as the policy.zip that "
                "train-policy writes"
            )
        super().__init__(encoder=encoder, encoder_args=encoder_args)
        # With this a checkpoint's encoder can be made without the file, before its weights load.
        size = {"feature_dim": self.encoder.feature_dim}
        self.hparams.update(agent=None, encoder_args=size)
