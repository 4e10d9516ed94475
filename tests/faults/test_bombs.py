"""Files that are small and unpack to much, that never end, or that nobody writes to: refused before they cost much."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from gsda_tf.data import image_files
from gsda_tf.datasets.own import lists
from gsda_tf.errors import UserError

_LIMIT = 2**31
"""Bytes of address space: TensorFlow's threads are not there, NumPy's are."""
_READ = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from gsda_tf.data.npz import read_npz
from gsda_tf.errors import UserError
said = {}
for path in sys.argv[2:]:
    try:
        said[path] = {name: list(array.shape) for name, array in read_npz(path, ("features", "labels")).items()}
    except (UserError, ValueError) as error:
        said[path] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


def _claims(path, name: str, size: int, packed: int) -> None:
    """An archive of sound labels, and of a member that says that it unpacks to `size` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("labels.npy", "w") as file:
            np.save(file, np.arange(3))
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (size // 4000, 1000)}
        )
        archive.writestr(name, header.getvalue() + bytes(10**6))
        archive.filelist[-1].file_size, archive.filelist[-1].compress_size = size, packed


def _many_members(path, count: int = 300_000) -> None:
    entry = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
    members = b"".join(entry + b"%06d" % i for i in range(count))
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, len(members), 0, 0)
    path.write_bytes(members + end)


def test_archives_of_arrays(tmp_path, repository):
    """All in one process that may take 2 GB."""
    _claims(tmp_path / "unused.npz", "other.npy", 8 * 10**9, 10**5)
    _claims(tmp_path / "zeros.npz", "features.npy", 5 * 10**9, 22 * 10**6)
    _claims(tmp_path / "large.npz", "features.npy", 2**50, 2**49)
    _claims(tmp_path / "lie.npz", "features.npy", 10**6, 10**3)
    _many_members(tmp_path / "members.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    os.symlink("/dev/zero", tmp_path / "device.npz")
    with open(tmp_path / "sparse.npz", "wb") as file:
        file.truncate(2**38)
    names = ("unused", "zeros", "large", "lie", "members", "pipe", "device", "sparse")
    command = [sys.executable, "-c", _READ, str(_LIMIT), *(str(tmp_path / f"{name}.npz") for name in names)]
    done = subprocess.run(
        command, cwd=repository, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = {os.path.basename(path)[:-4]: what for path, what in json.loads(done.stdout).items()}
    assert said["unused"] == {"labels": [3]}
    assert "DataError" in said["zeros"] and "100 times what it has" in said["zeros"]
    assert "DataError" in said["large"] and "half of this machine's memory" in said["large"]
    assert "an array of float32 (250, 1000) in 1,000,000 bytes" in said["lie"]
    assert "too many members" in said["members"]
    assert "is a pipe" in said["pipe"] and "is a device" in said["device"] and "not a zip file" in said["sparse"]


@pytest.mark.parametrize("kind", ["pipe", "device", "sparse", "endless"])
def test_lists_and_images_without_an_end(tmp_path, kind):
    path = tmp_path / "a.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "sparse":
        with open(path, "wb") as file:
            file.truncate(2**40)
    else:
        path.write_bytes(b"a" * (2**16 + 1))
    said = {"pipe": "is a pipe", "device": "is a device", "sparse": "bytes: expected at most", "endless": "is no text"}
    with pytest.raises(UserError, match=said[kind]):
        lists.read_list(str(path))
    expected = "begins with b'aaaa" if kind == "endless" else said[kind].removeprefix("is ")
    assert expected in image_files.check_file(str(path))
