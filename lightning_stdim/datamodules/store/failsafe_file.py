"""A file for HDF5 to write to, on a disk that may be full."""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import BinaryIO


class FailsafeFile:
    """A new file whose writes never fail; :meth:`check` raises the error that there was.

    HDF5 ends the whole process with a segmentation fault when it cannot write. So when the disk
    refuses a write, the file goes on in memory until HDF5 has closed it. The class has the methods
    that ``h5py.File`` needs.

    Args:
        path: the file; one that exists is overwritten.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def __enter__(self) -> FailsafeFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()

    def check(self) -> None:
        """Make sure that everything has been written.

        Raises:
            OSError: the first error that there was.
        """
        if self._error is not None:
            raise self._error

    def write(self, data: memoryview) -> int:
        """Write at the present position, all of it.

        Args:
            data: bytes.

        Returns:
            Their number.
        """
        left = data
        total = len(left)
        position = self._file.tell()
        try:
            while left:  # a disk that is nearly full takes a part
                left = left[self._file.write(left) :]
        except OSError as error:
            self._go_on_in_memory(error)
            self._file.seek(position)
            self._file.write(data)
        return total

    def truncate(self, size: int) -> int:
        """Change the length.

        Args:
            size: the new length in bytes.

        Returns:
            The new length.
        """
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._go_on_in_memory(error)
            return self._file.truncate(size)

    def _go_on_in_memory(self, error: OSError) -> None:
        self._error = error
        self._file.seek(0)
        memory = io.BytesIO(self._file.read())
        self._file.close()
        self._file = memory

    def read(self, size: int) -> bytes:
        """Read from the present position.

        Args:
            size: number of bytes.

        Returns:
            So many bytes, or as many as there are.
        """
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position.

        Args:
            offset: in bytes.
            whence: from where, as for any file.

        Returns:
            The position.
        """
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Tell the position.

        Returns:
            The position in bytes.
        """
        return self._file.tell()

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""
