"""Variables in other codes than a byte, against decoders in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_stdim.datamodules import probe_data
from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.datamodules.collection import settings as settings_module
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import Annotation
from lightning_stdim.datamodules.labels.ram_codes import Code
from lightning_stdim.errors import ConfigurationError


def digits(ram: list[int], *places: int) -> int:
    """Read hexadecimal digits as decimal ones; those from A on carry."""
    number = 0
    for place in places:
        for digit in f"{ram[place]:02x}":
            number = 10 * number + int(digit, 16)
    return number


# A label set of this test's own, each variable with a slow decoder.
ENTRIES: dict[str, dict[str, Any]] = {
    "x": {"ram": 5},
    "score": {"ram": [7, 6, 5], "decoding": "bcd"},
    "score_little_endian": {"ram": [5, 6, 7], "decoding": "bcd"},
    "clock": {"ram": [127], "decoding": "bcd"},
    "lives": {"ram": 7, "decoding": "high_nibble"},
    "level": {"ram": 7, "decoding": "low_nibble"},
    "direction": {"ram": 0, "decoding": "lookup", "table": {"3": 5, "5": 3, "255": 1000}},
}
SLOW: dict[str, Callable[[list[int]], int]] = {
    "x": lambda ram: ram[5],
    "score": lambda ram: digits(ram, 7, 6, 5),
    "score_little_endian": lambda ram: digits(ram, 5, 6, 7),
    "clock": lambda ram: digits(ram, 127),
    "lives": lambda ram: ram[7] // 16,
    "level": lambda ram: ram[7] % 16,
    "direction": lambda ram: {3: 5, 5: 3, 255: 1000}.get(ram[0], ram[0]),
}


def mine(*names: str, game: str = "pong") -> Annotation:
    entries = {name: {**ENTRIES[name], "categories": ["misc_keys"]} for name in names or ENTRIES}
    return Annotation.parse(game, "mine", 7, entries)


@given(st.lists(st.binary(min_size=128, max_size=128), max_size=3))
def test_labels_are_those_of_the_slow_decoders(moments: list[bytes]) -> None:
    ram = np.frombuffer(b"".join(moments), np.uint8).reshape(-1, 128)
    labels = mine().decode(ram)
    assert labels.tolist() == [[slow(list(m)) for slow in SLOW.values()] for m in moments]
    for code, slow in zip(mine().codes, SLOW.values(), strict=True):
        assert all(slow(list(m)) <= code.highest for m in moments)


@given(st.integers(0, 999_999))
def test_a_decimal_number_is_read_back(number: int) -> None:
    ram = np.zeros(128, np.uint8)
    ram[[7, 6, 5]] = list(bytes.fromhex(f"{number:06}"))
    big = mine("score").decode(ram)
    ram[[5, 6, 7]] = ram[[7, 6, 5]]
    assert big.tolist() == mine("score_little_endian").decode(ram).tolist() == [number]


@settings(deadline=None)
@given(st.permutations(range(128)), st.integers(1, 9))
def test_the_longest_decimal_number_fits(places: list[int], n: int) -> None:
    code = Code(ram=tuple(places[:n]), decoding="bcd")
    assert code.highest == int(15 * int("1" * (2 * n)))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"ram": 128}, r"RAM bytes \[128\] do not fit decoding 'byte'"),
        ({"ram": [1, 2]}, "takes 1 to 1"),
        ({"ram": [], "decoding": "bcd"}, "takes 1 to 9"),
        ({"ram": list(range(10)), "decoding": "bcd"}, "takes 1 to 9"),
        ({"ram": 1, "decoding": "gray"}, "decoding 'gray' is unknown: choose one of byte, bcd"),
        ({"ram": 1, "decoding": "lookup"}, "does not fit decoding 'lookup'"),
        ({"ram": 1, "table": {"1": 2}}, "does not fit decoding 'byte'"),
        ({"ram": 1, "decoding": "lookup", "table": {"256": 2}}, "from bytes"),
        ({"ram": 1, "decoding": "lookup", "table": {"1": -2}}, "to labels"),
    ],
)
def test_an_impossible_code_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Annotation.parse("pong", "mine", 1, {"x": {**entry, "categories": []}})


def test_labels_beyond_a_byte_are_refused_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "annotation", lambda *_: mine("x", "score"))
    with pytest.raises(ConfigurationError, match=r"score of pong .* labels up to 1666665: .* 255"):
        collect(CollectionSettings("pong", steps=10), root=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_collection_is_labelled_and_read_by_another_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collect(CollectionSettings("breakout", steps=300), root=tmp_path, progress=False)
    shifted = {str(byte): byte + 300 for byte in range(256)}
    entries: dict[str, Any] = {  # two readings of ball_x
        "high": {"ram": 99, "decoding": "high_nibble", "categories": []},
        "wide": {"ram": [99], "decoding": "lookup", "table": shifted, "categories": []},
    }
    set_of_mine = Annotation.parse("breakout", "mine", 7, entries)
    monkeypatch.setattr(probe_data, "annotation", lambda *_: set_of_mine)
    with pytest.raises(ConfigurationError, match=r"wide of breakout .* take labels 0 to 255"):
        probe_data.load_probe_data(path, label_set="paper", entropy_threshold=0.0)
    narrow = Annotation.parse("breakout", "mine", 7, {"high": entries["high"]})
    monkeypatch.setattr(probe_data, "annotation", lambda *_: narrow)
    data = probe_data.load_probe_data(path, label_set="paper", entropy_threshold=0.0)
    assert (data.label_set, data.label_set_version) == ("mine", 7)
    assert set(data.labels.flatten().tolist()) <= set(range(16))
    assert len(data.labels.unique()) > 1


def test_probe_data_takes_bytes_alone() -> None:
    def data(label: int) -> ProbeData:
        return ProbeData(
            game="pong",
            label_set="mine",
            variables=("x",),
            categories={"x": ()},
            dropped={},
            frames=torch.zeros(2, 210, 160, dtype=torch.uint8),
            labels=torch.tensor([[0], [label]]),
            splits={},
        )

    data(255)
    for label in (-1, 256):
        with pytest.raises(ConfigurationError, match="x of pong has labels"):
            data(label)
