"""``Evaluation``: what probing one encoder on one game has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from torch import Tensor

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.probes.scores import MetricTable, label_entropies, report_f1_table


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, Any]):
    """Scores of one encoder on one game, and how they came about.

    A score by protocol: ``evaluation.f1("converged")``. Everything else by attribute, as plain data
    by :meth:`to_dict`, or by subscript, which reads that data:
    ``evaluation["protocols"]["converged"]["f1"]["variables"]["ball_x"]``.

    For each protocol and each of the metrics ``"f1"`` (weighted by support), ``"accuracy"``,
    ``"macro_f1"`` and ``"balanced_accuracy"`` there are ``"variables"``, ``"categories"``,
    ``"mean_over_categories"`` (the paper's tables), ``"mean_over_variables"`` and
    ``"mean_weighted_by_entropy"``; all from 0 to 1. Where the ``challenge`` protocol was asked for,
    it has the metric ``"report_f1"``, too, and so have scores that no probe makes: the F1 as the
    challenge report computed it, which compares with nothing else.

    Attributes:
        game: canonical name.
        label_set: the labels that were scored.
        label_set_version: their version.
        protocols: scores on the test split, by protocol.
        entropies: entropy of each variable's labels, in nats.
        dropped: variables that are not scored, with the reason.
        provenance: where the frames come from.
        settings: the seed; for each protocol its parameters and, under ``"variables"``, what it
            chose for each variable.
        controls: scores of what learns nothing from the frames: ``"majority"`` and ``"shuffled"``;
            empty if they were not asked for.
        predictions: for each protocol the labels predicted for the test split, int64 [n, V], on
            the CPU. Not part of the plain data.
    """

    game: str
    label_set: str
    label_set_version: int
    protocols: dict[str, MetricTable]
    entropies: dict[str, float]
    dropped: dict[str, str]
    provenance: dict[str, Any]
    settings: dict[str, Any]
    controls: dict[str, MetricTable] = field(default_factory=dict)
    predictions: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        data: ProbeData,
        *,
        protocols: dict[str, MetricTable],
        predictions: dict[str, Tensor],
        settings: dict[str, Any],
        controls: dict[str, MetricTable] | None = None,
    ) -> Self:
        """Put scores together with what the data says of itself.

        Args:
            data: what was probed.
            protocols: scores by protocol.
            predictions: for each protocol int64 [n, V], on any device.
            settings: how they came about.
            controls: scores by control.

        Returns:
            The evaluation.
        """
        return cls(
            game=data.game,
            label_set=data.label_set,
            label_set_version=data.label_set_version,
            protocols=protocols,
            entropies=label_entropies(data),
            dropped=dict(data.dropped),
            provenance={k: v for k, v in data.provenance.items() if k != "episode_start"},
            settings=settings,
            controls=controls or {},
            predictions={name: labels.cpu() for name, labels in predictions.items()},
        )

    def f1(self, protocol: str = "converged") -> float:
        """Give the score of the paper's tables.

        Args:
            protocol: one of those that were evaluated.

        Returns:
            The F1, 0 to 1, as :meth:`mean` averages it.

        Raises:
            ConfigurationError: the protocol was not evaluated.
        """
        return self.mean("f1", protocol)

    def mean(self, metric: str, protocol: str = "converged") -> float:
        """Average a metric over categories, or over variables where none has a category.

        Args:
            metric: ``"f1"``, ``"accuracy"``, ``"macro_f1"`` or ``"balanced_accuracy"``; where the
                protocol has it, ``"report_f1"``.
            protocol: one of those that were evaluated.

        Returns:
            The mean, 0 to 1; NaN if no variable is scored.

        Raises:
            ConfigurationError: the protocol was not evaluated, or there is no such metric.
        """
        for name, known in (
            (protocol, self.protocols),
            (metric, self.protocols.get(protocol, {})),
        ):
            if name not in known:
                raise ConfigurationError(f"there are no scores {name!r}: choose from {list(known)}")
        table = self.protocols[protocol][metric]
        for kind in ("mean_over_categories", "mean_over_variables"):
            if table[kind] is not None:
                return float(table[kind])
        return float("nan")

    def with_protocols_of(self, other: Evaluation) -> Evaluation:
        """Add another evaluation's protocols, for a model that has scores of its own.

        Args:
            other: an evaluation on the same data.

        Returns:
            This one's protocols, predictions and settings, then the other's; controls of both.
        """
        return replace(
            self,
            protocols=self.protocols | other.protocols,
            settings=self.settings | other.settings,
            controls=self.controls | other.controls,
            predictions=self.predictions | other.predictions,
        )

    def with_report_f1(self, data: ProbeData, *, batch_size: int, seed: int) -> Evaluation:
        """Add the challenge report's F1 to every protocol, to compare with its numbers.

        Args:
            data: what was scored.
            batch_size: number of frames in a batch of the challenge report's F1.
            seed: random seed of the frames' order.

        Returns:
            The evaluation, with the metric ``"report_f1"`` beside the others.
        """
        labels = data.labels[data.splits["test"]]
        protocols = {
            name: table
            | report_f1_table(
                self.predictions[name], labels, data, batch_size=batch_size, seed=seed
            )
            for name, table in self.protocols.items()
        }
        return replace(self, protocols=protocols)

    def to_dict(self) -> dict[str, Any]:
        """Give all but the predictions as plain data.

        Returns:
            What JSON can hold, by attribute; ``"controls"`` is left out if there are none.
        """
        names = ["game", "label_set", "label_set_version", "protocols", "entropies", "dropped"]
        names += ["provenance", "settings", *(["controls"] if self.controls else [])]
        return {name: getattr(self, name) for name in names}

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())
