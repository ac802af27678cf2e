"""``evaluate_encoder``: the score of a representation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.batches import ProbeData, Split
from lightning_stdim.encoders.undivided import undivided_frames
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.probes.challenge import ChallengeSettings, check_challenge, train_challenge
from lightning_stdim.probes.converged import ConvergedSettings, train_converged
from lightning_stdim.probes.encode import encode
from lightning_stdim.probes.evaluation import Evaluation
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.majority import majority
from lightning_stdim.probes.paper import PaperSettings, train_paper
from lightning_stdim.probes.scores import MetricTable, report_f1_table, score_predictions
from lightning_stdim.probes.shuffled_labels import shuffled_labels
from lightning_stdim.utils.comma_separated import comma_separated

ProbeProtocol = Literal["paper", "converged", "challenge"]
USUAL_PROTOCOLS: tuple[ProbeProtocol, ...] = ("paper", "converged")
"""The protocols that are evaluated unless others are named."""


def check_protocols(names: str | Iterable[str]) -> list[ProbeProtocol]:
    """Refuse what names no probe protocol.

    Args:
        names: names of protocols; as one text, separated by commas.

    Returns:
        The names.

    Raises:
        ConfigurationError: there are none, or one is unknown.
    """
    names = list(comma_separated(names) if isinstance(names, str) else names)
    known = get_args(ProbeProtocol)
    if not names or not set(names) <= set(known):
        choice = ", ".join(map(repr, known))
        raise ConfigurationError(f"protocols={names}: choose from {choice}")
    return cast(list[ProbeProtocol], names)


def evaluate_encoder(
    encoder: nn.Module,
    data: ProbeData,
    *,
    protocols: Sequence[ProbeProtocol] = USUAL_PROTOCOLS,
    seed: int = 0,
    batch_size: int = 256,
    paper: PaperSettings | None = None,
    converged: ConvergedSettings | None = None,
    challenge: ChallengeSettings | None = None,
    controls: bool = True,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Evaluation:
    """Score an encoder by how well linear probes read the game's state from its features.

    The frames are encoded once, in evaluation mode and without gradients. On the features, one
    linear classifier per variable is trained by each protocol: ``"paper"``, as published, for
    comparison with published numbers; ``"converged"``, on standardised features and to the
    optimum, which measures the representation rather than the optimiser.

    ``"challenge"`` is the protocol of the challenge report (NeurIPS 2019 Reproducibility
    Challenge), for comparison with its numbers alone, and only on request. For it, frames are
    encoded once more without being divided by 255, as in the report, so the encoder must have the
    attribute ``scale_frames``, as those of this package have. Beside the right ``"f1"`` its scores
    have ``"report_f1"``, the F1 as the report computed it
    (:func:`~lightning_stdim.probes.metrics.report_f1`).

    The same arguments give the same result. The encoder (weights, device, modes) and the global
    random state are left as they were found.

    Args:
        encoder: takes uint8 [B, C, H, W], values 0 to 255, and returns float [B, D]. C is its
            attribute ``in_channels``, those of as many successive frames as make up an
            observation, or those of one frame.
        data: labelled and split frames.
        protocols: how to train the probes; by default ``"paper"`` and ``"converged"``.
        seed: random seed of the initialisation and the order of frames under ``paper`` and
            ``challenge``, and of the control's permutation; ``converged`` involves no chance.
        batch_size: frames that are encoded at a time.
        paper: settings of the ``paper`` protocol; the published ones by default.
        converged: settings of the ``converged`` protocol.
        challenge: settings of the ``challenge`` protocol; the challenge report's by default.
        controls: also give the scores of the most frequent label and, beside ``converged``, of its
            probe trained on shuffled labels (:func:`shuffled_labels`).
        device: where to compute; by default where the encoder's weights are.
        progress: show progress bars.

    Returns:
        The scores, the predictions and how they came about: ``.f1("converged")`` is the mean over
        categories, ``.to_dict()`` everything that JSON can hold.

    Raises:
        EncoderError: if the encoder does not return a finite float tensor [B, D].
        ConfigurationError: if a protocol is unknown, the encoder takes a number of channels that no
            number of the data's frames has, or ``challenge`` is asked for and the encoder has no
            attribute ``scale_frames`` or a label is 255.
        TrainingError: if the probes' weights became NaN or infinite.
    """
    protocols = check_protocols(protocols)
    if "challenge" in protocols:
        check_challenge(encoder, data)
    paper = paper or PaperSettings()
    converged = converged or ConvergedSettings()
    challenge = challenge or ChallengeSettings()
    settings: dict[str, Any] = {"seed": seed}
    scores: dict[str, MetricTable] = {}
    found: dict[str, Tensor] = {}
    control: dict[str, MetricTable] = majority(data).protocols if controls else {}

    def encoded() -> ProbeFeatures:
        torch.manual_seed(seed)  # for encoders that sample even in evaluation mode
        features = encode_splits(
            encoder, data, batch_size=batch_size, device=device, progress=progress
        )
        settings["feature_dim"] = features.features["train"].shape[1]
        return features

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        if set(protocols) & set(USUAL_PROTOCOLS):
            features = encoded()
        if "paper" in protocols:
            found["paper"], counted, details = train_paper(
                features, settings=paper, seed=seed, progress=progress
            )
            scores["paper"] = score_predictions(
                found["paper"][counted], features.labels["test"][counted], data
            )
            settings["paper"] = asdict(paper) | {"variables": details}
        if "converged" in protocols:
            found["converged"], details = train_converged(
                features, settings=converged, progress=progress
            )
            scores["converged"] = score_predictions(
                found["converged"], features.labels["test"], data
            )
            settings["converged"] = asdict(converged) | {
                "strengths": list(converged.strengths),  # JSON has no tuples
                "variables": details,
            }
            if controls:
                strengths = {name: chosen["strength"] for name, chosen in details.items()}
                control["shuffled"] = shuffled_labels(
                    features, data, strengths, settings=converged, seed=seed, progress=progress
                )
        if "challenge" in protocols:
            with undivided_frames(encoder):
                features = encoded()
            found["challenge"], details = train_challenge(
                features, settings=challenge, seed=seed, progress=progress
            )
            tested = found["challenge"], features.labels["test"], data
            scores["challenge"] = score_predictions(*tested) | report_f1_table(
                *tested, batch_size=challenge.batch_size, seed=seed
            )
            settings["challenge"] = asdict(challenge) | {"variables": details}
    return Evaluation.of(
        data, protocols=scores, predictions=found, settings=settings, controls=control
    )


def encode_splits(
    encoder: nn.Module,
    data: ProbeData,
    *,
    batch_size: int = 256,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> ProbeFeatures:
    """Encode the frames that are in any split, once.

    Args:
        encoder: takes uint8 [B, C, H, W] and returns float [B, D].
        data: labelled and split frames.
        batch_size: frames that are encoded at a time.
        device: where to compute; by default where the encoder's weights are.
        progress: show a progress bar.

    Returns:
        Features and labels, on the device of the computation.

    Raises:
        EncoderError: if the encoder does not return a finite float tensor [B, D].
        ConfigurationError: if it takes a number of channels that no number of frames has.
    """
    splits = data.splits
    needed, positions = torch.unique(torch.cat(list(splits.values())), return_inverse=True)
    features = encode(
        encoder,
        data.frames,
        needed,
        episode_start=data.episode_start,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    where: dict[Split, Tensor] = dict(
        zip(splits, positions.split([len(part) for part in splits.values()]), strict=True)
    )
    episodes: dict[Split, Tensor] | None = None
    if (first := data.episode_start) is not None:
        episodes = {
            split: torch.bucketize(part.contiguous(), first, right=True)
            for split, part in splits.items()
        }
    return ProbeFeatures(
        variables=data.variables,
        features={split: features[part.to(features.device)] for split, part in where.items()},
        labels={split: data.labels[part].to(features.device) for split, part in splits.items()},
        episodes=episodes,
    )
