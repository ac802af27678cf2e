"""The published tables, in the same form as our own scores.

The numbers are those of ``published_results.json``, which names the source of every table. Means
that a table does not print are computed here from the numbers that it prints, and marked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import fmean
from typing import Any, Literal

from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.runs.results import Metric, MetricScores

Agent = Literal["random", "ppo"]


@dataclass(frozen=True)
class Published:
    """One method's published scores on one game.

    Attributes:
        scores: scores from 0 to 1, with two decimals as printed; an entry that was not published
            is None or absent.
        derived: the parts of ``scores`` (keys of MetricScores) that no table prints. They are
            means of printed numbers, so exact to half a unit of the second decimal.
        sources: the tables that the numbers come from.
        split: the split of the frames that the scores are on.
    """

    scores: MetricScores
    derived: frozenset[str]
    sources: tuple[str, ...]
    split: Literal["test", "validation"] = "test"


def paper(
    game: str, method: str, *, metric: Metric = "f1", agent: Agent = "random"
) -> Published | None:
    """Look up the paper's scores (Anand et al. 2019, arXiv 1906.08226).

    The paper prints a game's mean over categories (Tables 2, 6, 8 and 11) and, for F1, every
    variable. F1 by category and the mean over variables are derived: means of the printed values
    of the category's variables, and of all variables. For F1 of variables that were printed for a
    run other than the game's (a few games differ by up to 0.1), the two need not agree.

    Args:
        game: canonical name.
        method: such as ``"st-dim"``; one that the paper does not have gives None.
        metric: ``"f1"`` (weighted by support) or ``"accuracy"``.
        agent: the agent that collected the frames.

    Returns:
        The scores, or None if the paper has none.
    """
    tables = _tables()["paper"][agent].get(metric, {})
    variables: dict[str, float | None] = {}
    sources = []
    fine = tables.get("variables", {}).get(game)
    if fine is not None and method in fine["methods"]:
        variables = {name: _cell(fine, name, method) for name in fine["rows"]}
        sources.append(f"{fine['title']} ({fine['source']})")
    mean = None
    for name in ("games", "ablations"):
        table = tables.get(name)
        if mean is None and table is not None and game in table["rows"]:
            mean = _cell(table, game, method)
            if mean is not None:
                sources.insert(0, f"{table['title']} ({table['source']})")
    if not sources:
        return None
    scores = MetricScores(
        variables=variables,
        categories=_category_means(game, variables),
        mean_over_categories=mean,
        mean_over_variables=_mean(list(variables.values())),
    )
    return Published(
        scores=scores,
        derived=frozenset({"categories", "mean_over_variables"} if variables else ()),
        sources=tuple(sources),
    )


def paper_category(category: str, method: str, *, agent: Agent = "random") -> float | None:
    """Look up the paper's Table 3, or 7 for PPO: F1 by category, mean over its 22 games.

    Args:
        category: such as ``"agent_localization"``.
        method: such as ``"st-dim"``.
        agent: the agent that collected the frames.

    Returns:
        The score, 0 to 1; None if the table does not have it.
    """
    return _cell(_tables()["paper"][agent]["f1"]["categories"], category, method)


def reproduction(game: str, method: str, *, metric: Metric = "f1") -> Published | None:
    """Look up an independent reproduction's scores (Alacchi et al. 2019, its Table 1).

    It is one run of ST-DIM on each of the paper's games, with the authors' code. Only the mean over
    categories is printed.

    Args:
        game: canonical name.
        method: only ``"st-dim"`` has scores.
        metric: only ``"f1"`` (weighted by support) has scores.

    Returns:
        The scores, or None if the reproduction has none.
    """
    table = _tables()["reproduction"].get(metric, {}).get("games")
    if table is None or game not in table["rows"] or method not in table["methods"]:
        return None
    scores = MetricScores(
        variables={},
        categories={},
        mean_over_categories=_cell(table, game, method),
        mean_over_variables=None,
    )
    return Published(
        scores=scores, derived=frozenset(), sources=(f"{table['title']} ({table['source']})",)
    )


def reproduction_category(category: str, method: str) -> float | None:
    """Look up the reproduction's F1 by category, mean over the paper's 22 games.

    Args:
        category: such as ``"agent_localization"``.
        method: only ``"st-dim"`` has scores.

    Returns:
        The score, 0 to 1; None if the table does not have it.
    """
    return _cell(_tables()["reproduction"]["f1"]["categories"], category, method)


def citations() -> dict[str, str]:
    """Cite the sources.

    Returns:
        ``"paper"``, ``"report"`` and ``"reproduction"``, a line each.
    """
    tables = _tables()
    return {source: tables[source]["citation"] for source in ("paper", "report", "reproduction")}


def report(game: str, method: str, *, metric: Metric = "f1") -> Published | None:
    """Look up the reproducibility report's scores: Pong, by category (its Tables 1 and 2).

    Its logs show that the supervised scores are on the validation split, after epoch 12 of the
    first of two runs; the others are on the test split.

    Args:
        game: canonical name; the report has ``"pong"`` alone.
        method: ``"random-cnn"``, ``"st-dim"`` or ``"supervised"``; another gives None.
        metric: ``"f1"`` (weighted by support) or ``"accuracy"``.

    Returns:
        The scores, or None if the report has none.
    """
    table = _tables()["report"].get(game, {}).get(metric)
    if table is None or method not in table["methods"]:
        return None
    categories = {name: _cell(table, name, method) for name in table["rows"] if name != "mean"}
    scores = MetricScores(
        variables={},
        categories=categories,
        mean_over_categories=_cell(table, "mean", method),
        mean_over_variables=None,
    )
    return Published(
        scores=scores,
        derived=frozenset(),
        sources=(f"{table['title']} ({table['source']})",),
        split=table["splits"].get(method, "test"),
    )


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(
        files("lightning_stdim.report").joinpath("published_results.json").read_text("utf-8")
    )
    return tables


def _cell(table: dict[str, Any], row: str, method: str) -> float | None:
    if method not in table["methods"]:
        return None
    value: float | None = table["rows"][row][table["methods"].index(method)]
    return value


def _category_means(game: str, variables: dict[str, float | None]) -> dict[str, float | None]:
    """Average the printed variables of every category; a category without any is left out."""
    if not variables:
        return {}
    categories = annotation(game, "paper").categories
    names = dict.fromkeys(name for variable in variables for name in categories[variable])
    return {
        name: _mean([value for key, value in variables.items() if name in categories[key]])
        for name in names
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
