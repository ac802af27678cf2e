"""The codes in which state variables are stored in the RAM.

Most variables are one byte. But scores and clocks are often binary-coded decimals of several bytes,
two small numbers can share a byte, and the values of a byte may have to be renamed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.errors import ConfigurationError

Decoding = Literal["byte", "bcd", "high_nibble", "low_nibble", "lookup"]
RAM_BYTES = 128
MAX_BCD_BYTES = 9
"""Eighteen decimal digits, as many as an int64 holds."""


@dataclass(frozen=True)
class Code:
    """Where a variable is in the RAM, and in which code.

    The decodings, for RAM bytes b with nibbles (half bytes) h and l:

    * ``"byte"``: b itself;
    * ``"bcd"``: the decimal digits h, l of every byte, in the order in which the bytes are listed
      (the bytes of a little-endian number are listed backwards). Nibbles above nine are not
      refused, but count with their value;
    * ``"high_nibble"`` and ``"low_nibble"``: h, and l;
    * ``"lookup"``: ``table[b]``, or b itself if the table does not have it. So a table with two
      entries can swap two values.

    Attributes:
        ram: indices of the RAM bytes, 0 to 127: one, or for ``"bcd"`` 1 to 9, the most significant
            first.
        decoding: name of the code.
        table: for ``"lookup"``, labels (0 or more) by bytes; bytes that keep their value may be
            left out.

    Raises:
        ConfigurationError: there is no such decoding, or it does not go with the bytes or the
            table.
    """

    ram: tuple[int, ...]
    decoding: Decoding = "byte"
    table: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.decoding not in get_args(Decoding):
            raise ConfigurationError(
                f"decoding {self.decoding!r} is unknown: choose one of {', '.join(_DECODERS)}"
            )
        most = MAX_BCD_BYTES if self.decoding == "bcd" else 1
        if not 1 <= len(self.ram) <= most or not all(0 <= b < RAM_BYTES for b in self.ram):
            raise ConfigurationError(
                f"RAM bytes {list(self.ram)} do not fit decoding {self.decoding!r}: "
                f"it takes 1 to {most}, each 0 to {RAM_BYTES - 1}"
            )
        if bool(self.table) != (self.decoding == "lookup") or not all(
            0 <= byte < 256 and label >= 0 for byte, label in self.table.items()
        ):
            raise ConfigurationError(
                f"table {dict(self.table)} does not fit decoding {self.decoding!r}: 'lookup' "
                "alone has one, from bytes (0 to 255) to labels (0 or more)"
            )

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Code:
        """Read a code from an entry of ``annotations.json``.

        Args:
            entry: ``"ram"``, a byte or a list of them, and, unless it is a plain byte,
                ``"decoding"`` and ``"table"`` (whose keys JSON writes as strings).

        Returns:
            The code.

        Raises:
            ConfigurationError: the entry does not describe a code.
        """
        ram = entry["ram"]
        return cls(
            ram=tuple(ram) if isinstance(ram, list) else (ram,),
            decoding=entry.get("decoding", "byte"),
            table={int(byte): label for byte, label in entry.get("table", {}).items()},
        )

    def decode(self, ram: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Read the variable from the RAM.

        Args:
            ram: uint8 [..., 128].

        Returns:
            int64 [...], values 0 to :attr:`highest`.
        """
        return _DECODERS[self.decoding](ram[..., list(self.ram)].astype(np.int64), self.table)

    @property
    def highest(self) -> int:
        """The largest label that any RAM can give."""
        # No code's label falls when a byte grows (but for tables, which take one byte), so it is
        # enough to try RAMs of equal bytes.
        every = np.arange(256, dtype=np.uint8)[:, None].repeat(RAM_BYTES, axis=1)
        return int(self.decode(every).max())


Values = NDArray[np.int64]


def _byte(values: Values, table: Mapping[int, int]) -> Values:
    return values[..., 0]


def _bcd(values: Values, table: Mapping[int, int]) -> Values:
    number = np.zeros(values.shape[:-1], np.int64)
    for k in range(values.shape[-1]):
        number = number * 100 + (values[..., k] >> 4) * 10 + (values[..., k] & 15)
    return number


def _high_nibble(values: Values, table: Mapping[int, int]) -> Values:
    return values[..., 0] >> 4


def _low_nibble(values: Values, table: Mapping[int, int]) -> Values:
    return values[..., 0] & 15


def _lookup(values: Values, table: Mapping[int, int]) -> Values:
    renamed = np.array([table.get(byte, byte) for byte in range(256)], np.int64)
    return renamed[values[..., 0]]


_DECODERS: dict[Decoding, Callable[[Values, Mapping[int, int]], Values]] = {
    "byte": _byte,
    "bcd": _bcd,
    "high_nibble": _high_nibble,
    "low_nibble": _low_nibble,
    "lookup": _lookup,
}
