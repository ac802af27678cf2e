"""Trained agents as policies: what they see, and how their files are read.

Agents see what they were trained on, a stack of four frames of 84x84 (Mnih et al. 2015), made from
the same frames that are recorded. Their files are read without ever unpickling code.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.policies.types import MakePolicy, Observe, Policy
from lightning_stdim.errors import ConfigurationError, EncoderError, StoreError
from lightning_stdim.utils.extras import install_extra
from lightning_stdim.utils.torch_files import read_tensors

if TYPE_CHECKING:
    from torch import Tensor

VIEW = (4, 84, 84)
"""Four frames, oldest first."""

LAYOUTS: dict[str, tuple[str, ...]] = {
    "Stable-Baselines3, encoders not shared": (
        "pi_features_extractor.cnn.0",
        "pi_features_extractor.cnn.2",
        "pi_features_extractor.cnn.4",
        "pi_features_extractor.linear.0",
        "action_net",
    ),
    "Stable-Baselines3": (
        "features_extractor.cnn.0",
        "features_extractor.cnn.2",
        "features_extractor.cnn.4",
        "features_extractor.linear.0",
        "action_net",
    ),
    "CleanRL": ("network.0", "network.2", "network.4", "network.7", "actor"),
}
"""Names of the five layers of a Nature actor in the state dicts of PPO and A2C agents."""


def with_agent_preprocessing(
    make: Callable[[int, np.random.Generator], Callable[[NDArray[np.uint8]], int]],
) -> MakePolicy:
    """Let policies see frames as agents are trained on them.

    Frames are preprocessed as by Stable-Baselines3's ``AtariWrapper`` and ``VecFrameStack``: grey,
    resized by OpenCV's area interpolation, and stacked; an episode begins with three frames of
    zeros.

    Args:
        make: makes a policy from the number of actions and a game's generator. The policy takes
            uint8 [4, 84, 84], which the next call overwrites, and returns an action.

    Returns:
        A function that makes such policies for the games of a collection.

    Raises:
        ConfigurationError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise ConfigurationError(
            f"an agent's view needs OpenCV: {install_extra('agents')}"
        ) from error
    cv2.setNumThreads(0)  # workers share the cores already

    def made(n_actions: int, rng: np.random.Generator) -> Policy:
        policy = make(n_actions, rng)
        view = np.zeros(VIEW, np.uint8)

        def act(observe: Observe, first: bool) -> int:
            if first:
                view[...] = 0
            view[:-1] = view[1:]
            view[-1] = cv2.resize(observe(), VIEW[:0:-1], interpolation=cv2.INTER_AREA)
            return policy(view)

        return act

    return made


def read_actor(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Read a Nature actor's weights.

    Args:
        path: a Stable-Baselines3 checkpoint (``.zip``, of which ``policy.pth`` is read, and never
            ``data``, which is a pickle), a state dict (``.pt``, ``.pth``) or a ``.safetensors``
            file, with the layers' names of one of :data:`LAYOUTS`.

    Returns:
        float32 weight and bias of the three convolutions, of the feature layer and of the action
        logits.

    Raises:
        EncoderError: the file holds something else, or more than tensors.
        StoreError: the file is missing or damaged.
    """
    if not path.is_file():
        raise StoreError(f"there is no policy {path}")
    return _nature_layers(path, _read_state_dict(path))


def load_agent(path: Path, *, greedy: bool = False) -> MakePolicy:
    """Load a Nature actor as a policy.

    Args:
        path: its file; see :func:`read_actor`.
        greedy: take the most probable action instead of drawing one.

    Returns:
        A function that makes the policy of each game. It raises a :class:`ConfigurationError` if
        the agent has another number of actions than the game.

    Raises:
        ConfigurationError: OpenCV is not installed.
        EncoderError: the file holds something else, or more than tensors.
        StoreError: the file is missing or damaged.
    """
    import torch
    from torch.nn import functional as F

    weights = read_actor(path)

    @torch.inference_mode()
    def logits(view: NDArray[np.uint8]) -> Tensor:
        # A copy: the view is overwritten before the next call.
        x = torch.from_numpy(view.copy()).unsqueeze(0).float() / 255  # [1, 4, 84, 84]
        for (weight, bias), stride in zip(weights[:3], (4, 2, 1), strict=True):
            x = F.relu(F.conv2d(x, weight, bias, stride))
        x = F.relu(F.linear(x.flatten(1), *weights[3]))
        return F.linear(x, *weights[4])[0]  # [n]

    def make(n_actions: int, rng: np.random.Generator) -> Callable[[NDArray[np.uint8]], int]:
        if (has := len(weights[4][0])) != n_actions:
            raise ConfigurationError(
                f"{path} has {has} actions and the game's minimal action set {n_actions}: take an "
                "agent that was trained on this game"
            )

        def act(view: NDArray[np.uint8]) -> int:
            values = logits(view)
            if greedy:
                return int(values.argmax())
            cumulated = values.double().softmax(0).cumsum(0)
            # The last sum may be just under 1, but never reach below the last action's.
            return min(int((cumulated <= rng.random()).sum()), n_actions - 1)

        return act

    return with_agent_preprocessing(make)


def _read_state_dict(path: Path) -> Mapping[str, Any]:
    file = None
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                file = io.BytesIO(archive.read("policy.pth"))
    except Exception as error:  # whatever a reader of foreign bytes may raise
        raise StoreError(
            f"{path} is damaged or holds no policy ({type(error).__name__}: {error})"
        ) from error
    contents = read_tensors(path, file=file, advice="Save the policy's state_dict() alone")
    if not isinstance(contents, Mapping):
        raise EncoderError(f"{path} holds a {type(contents).__name__}, not a state dict")
    return contents


def _nature_layers(path: Path, state: Mapping[str, Any]) -> list[tuple[Tensor, Tensor]]:
    """Pick weight and bias of the five layers, and check their shapes."""
    for layers in LAYOUTS.values():
        if all(f"{layer}.{part}" in state for layer in layers for part in ("weight", "bias")):
            break
    else:
        raise EncoderError(
            f"{path} holds {_other_contents(state)}. Wanted is the actor of PPO or A2C with "
            "Nature's convolutions, in a layout of "
            + " or ".join(
                f"{name} ({layers[0]}, ..., {layers[-1]})" for name, layers in LAYOUTS.items()
            )
        )
    if between := [name for name in state if str(name).startswith("mlp_extractor.policy_net")]:
        raise EncoderError(
            f"{path} has layers between Nature's features and the actions ({between[0]}): train "
            "it with net_arch=[]"
        )
    parts = [state[f"{layer}.{part}"] for layer in layers for part in ("weight", "bias")]
    if not all(hasattr(part, "isfinite") for part in parts):
        raise EncoderError(
            f"{path} has layers that are not tensors: save the policy's state_dict()"
        )
    weights = [
        (state[f"{layer}.weight"].float(), state[f"{layer}.bias"].float()) for layer in layers
    ]
    if not all(part.isfinite().all() for pair in weights for part in pair):
        raise EncoderError(f"{path} has weights that are not finite: its training went wrong")
    shapes = [tuple(weight.shape) for weight, _ in weights]
    hidden, actions = shapes[3][0], shapes[4][0]
    wanted = [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (hidden, 3136), (actions, hidden)]
    if shapes != wanted or any(len(bias) != len(weight) for weight, bias in weights):
        raise EncoderError(f"{path} has layers of shapes {shapes}, Nature's actor has {wanted}")
    return weights


def _other_contents(state: Mapping[str, Any]) -> str:
    """Say what a state dict holds instead of a Nature actor."""
    names = list(map(str, state))
    if any(name.startswith("q_net.") for name in names):
        return "a DQN: values of actions (q_net), no probabilities"
    if nested := [name for name, value in state.items() if isinstance(value, Mapping)]:
        return f"its weights a level too deep, in {nested}: save the state dict alone"
    return f"other layers ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''})"
