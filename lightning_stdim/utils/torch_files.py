"""Reading PyTorch's files without ever unpickling code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import IO, Any

from lightning_stdim.errors import EncoderError, StoreError


def read_tensors(path: Path, *, advice: str, file: IO[bytes] | None = None) -> Any:
    """Read what ``torch.save`` wrote with ``weights_only=True``.

    Args:
        path: the file.
        advice: what to do if the file cannot be used; it ends the errors' messages.
        file: the file's bytes, if they are in an archive.

    Returns:
        The file's contents, with tensors on the CPU.

    Raises:
        EncoderError: the file holds more than tensors and plain values.
        StoreError: the file is missing or damaged.
    """
    import torch

    try:
        return torch.load(file or path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise StoreError(f"there is no file {path}") from error
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{path} holds more than tensors and plain values, or is not a file of PyTorch's. Such "
            f"files can run code when they are read, so it was not read. {advice}"
        ) from error
    except Exception as error:  # whatever a reader of foreign bytes may raise
        raise StoreError(
            f"{path} is damaged or is not a file of PyTorch's ({type(error).__name__}: {error}). "
            f"{advice}"
        ) from error
