"""MAJ-CLF: the baseline that looks at no frame."""

from __future__ import annotations

from typing import Any

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.probes.scores import results_dict, score_predictions


def majority(data: ProbeData) -> dict[str, Any]:
    """Predict each variable's most frequent training label, the smallest one if several tie.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, MAJ-CLF.

    Args:
        data: labelled and split frames.

    Returns:
        Plain data in the shape of :func:`evaluate_encoder`'s, with the one protocol
        ``"majority"``.
    """
    train, test = (data.labels[data.splits[split]] for split in ("train", "test"))
    # mode() promises no order between ties; the first maximum of the counts does.
    most_frequent = train.new_tensor([column.bincount().argmax() for column in train.unbind(1)])
    scores = score_predictions(most_frequent.expand_as(test), test, data)
    settings = {"prediction": dict(zip(data.variables, most_frequent.tolist(), strict=True))}
    return results_dict(data, {"majority": scores}, {"majority": settings})
