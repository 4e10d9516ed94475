"""Arrays in somebody else's .npz file: nothing in it is run, and no size in it is believed before it is checked."""

import contextlib
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from gsda_tf.errors import DataError, shown
from gsda_tf.files import open_archive

MOST_BYTES = 2**40
_RATIO, _SMALL = 100, 2**26
"""An array of more than so many bytes takes at most so many times what it is packed in."""


def read_npz(path: str, names: Sequence[str], most: int = 0) -> dict[str, np.ndarray]:
    """Reads arrays by name; whatever else the file holds is not looked at.

    Args:
      path: of the file.
      names: of arrays; those that are not there are left out.
      most: bytes that they may take together, unpacked; 0: half of this machine's memory.

    Raises:
      ValueError: it is damaged, or no such file.
      DataError: it unpacks to more than `most`, or to very much more than it is packed in.
      UserError: it is a pipe, a device or a folder.
      OSError: it cannot be read.
    """
    with _damage(), open_archive(path, MOST_BYTES) as archive:
        known = set(archive.namelist())
        members = [archive.getinfo(f"{name}.npy") for name in names if f"{name}.npy" in known]
        unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
        most = most or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        if unpacked > min(most, max(_SMALL, _RATIO * packed)):
            raise DataError(
                f"{shown(path)} unpacks to {unpacked:,} bytes from {packed:,}: expected at most {most:,} (half of this "
                f"machine's memory, or what such a file may hold), and {_RATIO} times what it has. Save it without "
                "compression, or bring so many as image files, with --pipeline=folders or lists."
            )
        return {member.filename[: -len(".npy")]: _array(archive, member) for member in members}


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if dtype.hasobject:
            raise ValueError("objects of Python, which are not read")
        if math.prod(shape) * dtype.itemsize + file.tell() != member.file_size:
            raise ValueError(f"an array of {dtype} {shape} in {member.file_size:,} bytes")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Tells as one kind of error what zipfile and NumPy raise about files that are damaged, or were never archives."""
    try:
        yield
    except (EOFError, KeyError, MemoryError, RuntimeError, OverflowError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or type(error).__name__) from error
