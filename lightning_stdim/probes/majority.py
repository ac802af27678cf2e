"""MAJ-CLF: the baseline that looks at no frame."""

from __future__ import annotations

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.probes.evaluation import Evaluation
from lightning_stdim.probes.scores import score_predictions


def majority(data: ProbeData) -> Evaluation:
    """Predict each variable's most frequent training label, the smallest one if several tie.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, MAJ-CLF.

    Args:
        data: labelled and split frames.

    Returns:
        An evaluation with the one protocol ``"majority"``.
    """
    train, test = (data.labels[data.splits[split]] for split in ("train", "test"))
    # mode() promises no order between ties; the first maximum of the counts does.
    most_frequent = train.new_tensor([column.bincount().argmax() for column in train.unbind(1)])
    predicted = most_frequent.expand_as(test)
    settings = {"prediction": dict(zip(data.variables, most_frequent.tolist(), strict=True))}
    return Evaluation.of(
        data,
        protocols={"majority": score_predictions(predicted, test, data)},
        predictions={"majority": predicted},
        settings={"majority": settings},
    )
