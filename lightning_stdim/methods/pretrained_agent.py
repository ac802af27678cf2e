"""PRETRAINED-RL-AGENT: the features of an agent that learnt to play."""

from __future__ import annotations

from typing import Any

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.frozen import FrozenMethod

ENCODER = "lightning_stdim.encoders.AgentEncoder"


class PretrainedAgent(FrozenMethod):
    """The features that an agent computes its actions from, frozen.

    Source: Anand et al. 2019 (arXiv 1906.08226), PRETRAINED-RL-AGENT, with an agent trained by PPO.

    Args:
        agent: its file: a Stable-Baselines3 checkpoint (``.zip``), ``.pt``, ``.pth`` or
            ``.safetensors`` of a Nature actor. Checkpoints hold its weights and need it no more.
        encoder: dotted path of the encoder's class; with an `agent` always this one.
        encoder_args: for a checkpoint, which names no `agent`: the encoder's keyword arguments.

    Raises:
        ConfigurationError: no agent is given.
        EncoderError: the file holds something else than a Nature actor.
        StoreError: the file is missing or damaged.
    """

    name = "pretrained-agent"

    def __init__(
        self,
        *,
        agent: str | None = None,
        encoder: str = ENCODER,
        encoder_args: dict[str, Any] | None = None,
    ) -> None:
        if agent is not None:  # whatever encoder a preset may have for other methods
            encoder, encoder_args = ENCODER, {"path": agent}
        elif encoder_args is None:
            raise ConfigurationError(
                "PretrainedAgent needs an agent: --model.agent FILE, such as the policy.zip that "
                "train-policy writes"
            )
        super().__init__(encoder=encoder, encoder_args=encoder_args)
        # What a checkpoint needs to make the encoder without the file, before it loads the weights.
        size = {"feature_dim": self.encoder.feature_dim}
        self.hparams.update(agent=None, encoder=encoder, encoder_args=size)
