"""Encoders of made-up runs, with the F1 that a test wants."""

from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.probe_snapshots import ProbedEncoder
from tests.results import scores_of

VARIABLES = ("ball_x", "ball_y", "player_y")


def probed(make_result, key, f1, *, kept=None, protocols=("paper",), **changes):
    """Encoders of one run, from each step's F1 of the three variables, the same under protocols.

    ``kept`` is the steps and the F1 of the encoder that the run has kept.
    """

    def one(kind, step, values):
        results = make_result(key.method, key.seed, **changes)
        results["game"] = results["scores"]["game"] = key.game
        scores = scores_of(dict(zip(VARIABLES, values, strict=True)))
        results["scores"]["protocols"] = {
            name: {"f1": scores, "accuracy": scores} for name in protocols
        }
        return ProbedEncoder(key, kind, step, results, protocols)

    found = [one("snapshot" if step else "untrained", step, values) for step, values in f1.items()]
    return found + ([one("kept", *kept)] if kept else [])


def key(seed=0, *, game="pong", method="st-dim"):
    return RunKey(game, method, seed)
