"""What a run's key says, and that nothing of it is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightning_stdim.runs.key import RunKey

PPO = ("policy", "agents/pong-ppo/policy.zip")
TRAINED = RunKey("pong", "st-dim", 3, (PPO, ("steps", "3000")))
KEYS = {
    "": RunKey("pong", "st-dim", 3),
    "policy=pong-ppo,steps=3000": TRAINED,
    "policy=pong-ppo,steps=3000,probe.policy=random": RunKey(
        "pong", "st-dim", 3, (("policy", "random"),), TRAINED
    ),
    "policy=pong-ppo,steps=3000,from=pong,probe.mode=1": RunKey(
        "boxing", "st-dim", 3, (("mode", "1"),), TRAINED
    ),
    "encoder.seed=0": RunKey("pong", "st-dim", 3, (), RunKey("pong", "st-dim", 0)),
    "lr twice": RunKey("pong", "st-dim", 3, (("", "lr twice"),)),
    "policy=a.b:play": RunKey("pong", "st-dim", 3, (("policy", "a.b:play"),)),
    "policy=policy": RunKey("pong", "st-dim", 3, (("policy", "policy.zip"),)),
}


@pytest.mark.parametrize(("variant", "key"), KEYS.items())
def test_words_and_directories(variant: str, key: RunKey) -> None:
    assert key.variant == variant
    name = f"st-dim,{variant}" if variant else "st-dim"
    assert key.folder(Path("out")) == Path("out") / key.game / name / "seed3"


@pytest.mark.parametrize("key", KEYS.values(), ids=str)
def test_plain_data_gives_the_key_again(key: RunKey) -> None:
    assert RunKey.from_dict(json.loads(json.dumps(key.to_dict()))) == key


def test_options_and_source_may_be_left_out() -> None:
    assert RunKey.from_dict({"game": "pong", "method": "st-dim", "seed": 3}) == KEYS[""]


@pytest.mark.parametrize("variant", KEYS)
def test_the_words_of_an_old_record_stay_what_they_were(variant: str, make_result) -> None:
    key = RunKey.of_record(make_result(seed=3, variant=variant))
    assert (key.game, key.method, key.seed, key.variant) == ("pong", "st-dim", 3, variant)


@pytest.mark.parametrize(
    ("variant", "own"),
    [
        ("", True),
        ("policy=ppo,mode=1,difficulty=0", True),
        ("steps=3000", False),
        ("probe.mode=1", False),
        ("mode=1,probe.mode=default", False),
        ("from=boxing", False),
        ("my words", False),
    ],
)
def test_whether_it_was_trained_on_the_frames_that_are_probed(
    variant: str, own: bool, make_result
) -> None:
    assert RunKey.of_record(make_result(variant=variant)).trained_where_probed == own
    assert not KEYS["policy=pong-ppo,steps=3000,probe.policy=random"].trained_where_probed
    own = RunKey("pong", "vae", 0, (PPO,))
    assert RunKey("pong", "vae", 0, (), own).trained_where_probed  # its own probes once more
    assert not RunKey("pong", "vae", 1, (), own).trained_where_probed
    assert not RunKey("boxing", "vae", 0, (), own).trained_where_probed
    assert RunKey("pong", "vae", 0, (PPO, ("pixels", "rgb"))).trained_where_probed
