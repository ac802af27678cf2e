"""``benchmark.json``: the settings that the runs in a benchmark's directory share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.presets import preset_path, read_preset, read_specials
from lightning_stdim.utils.files import atomically

FILE = "benchmark.json"
SCHEMA = 2


@dataclass(frozen=True)
class GridRecord:
    """The settings of a benchmark's directory.

    Attributes:
        preset: name of a shipped preset, or a YAML file.
        digest: SHA-256 of the preset's settings; in a record of schema 1, of the preset's file.
        schema: version of the record's format.
        files: the YAML files that configure methods, by the methods' names in the runs' keys.
        file_digests: SHA-256 of the settings in each of these files, by the same names.
    """

    preset: str
    digest: str
    schema: int = SCHEMA
    files: Mapping[str, str] = field(default_factory=dict)
    file_digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, preset: str, files: Mapping[str, str]) -> Self:
        """Describe a benchmark that is about to run.

        Args:
            preset: name of a shipped preset, or a YAML file.
            files: YAML files of methods by name.

        Returns:
            The record.

        Raises:
            ConfigurationError: there is no such preset, or a file cannot be read.
        """
        try:
            settings = {
                name: yaml.safe_load(Path(file).read_text("utf-8")) for name, file in files.items()
            }
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigurationError(f"cannot read a method's file: {error}") from error
        digests = {name: _digest(content) for name, content in settings.items()}
        shared, specials = read_preset(preset), read_specials(preset)
        digest = _digest([shared, specials] if specials else shared)
        return cls(preset, digest, files=dict(files), file_digests=digests)

    @classmethod
    def read(cls, out: Path) -> Self | None:
        """Read the record of a directory.

        Args:
            out: the benchmark's directory.

        Returns:
            The record; None if the directory has none.

        Raises:
            StoreError: the file is damaged.
        """
        path = out / FILE
        try:
            data = json.loads(path.read_text("utf-8"))
            schema = data["schema"]
            digest = data["settings_sha256" if schema == SCHEMA else "preset_sha256"]
            methods = data.get("methods", {})
            files = {name: method["file"] for name, method in methods.items()}
            digests = {name: method["settings_sha256"] for name, method in methods.items()}
            return cls(data["preset"], digest, schema, files, digests)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"cannot read {path}: {error!r}; remove it if you know that all runs in {out} have "
                "the preset that you give"
            ) from error

    def has_preset_of(self, other: GridRecord) -> bool:
        """Tell whether two records have the same preset, with the same settings.

        Args:
            other: made by :meth:`of`.

        Returns:
            True if numbers of the two can be compared.
        """
        if self.preset != other.preset:
            return False
        if self.schema == SCHEMA:
            return self.digest == other.digest
        # Schema 1 has a hash of the file's bytes: a changed comment makes another preset of it.
        return self.digest == hashlib.sha256(preset_path(other.preset).read_bytes()).hexdigest()

    def changed_methods(self, other: GridRecord) -> list[str]:
        """List the methods for which the two records have different settings.

        Args:
            other: a record of the same directory.

        Returns:
            Their names.
        """
        there = other.file_digests
        return [
            name for name, digest in self.file_digests.items() if there.get(name, digest) != digest
        ]

    def write(self, out: Path) -> None:
        """Write the record, with the methods that the directory's earlier record has.

        Args:
            out: the benchmark's directory.

        Raises:
            StoreError: it cannot be written.
        """
        before = GridRecord.read(out)
        files = {**(before.files if before else {}), **self.files}
        digests = {**(before.file_digests if before else {}), **self.file_digests}
        methods = {
            name: {"file": file, "settings_sha256": digests[name]} for name, file in files.items()
        }
        data: dict[str, Any] = {
            "schema": SCHEMA,
            "preset": self.preset,
            "settings_sha256": self.digest,
            **({"methods": methods} if methods else {}),
        }
        with atomically(out / FILE) as temporary:
            temporary.write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def _digest(settings: object) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
