"""Files are there whole or not at all, and what the disk refuses is told in one line."""

import errno
import os

import pytest
import tensorflow as tf

from gsda_tf.errors import DiskError, UserError
from gsda_tf.files import disk_errors, read_json, write_atomically
from tests.faults.limited import files_up_to

_FULL = "^No space left on the disk while .* make room and run the same command again"


def test_a_text_file_keeps_what_it_held(tmp_path):
    path = tmp_path / "summary.json"
    write_atomically(str(path), "before")
    with files_up_to(1000), pytest.raises(DiskError, match=_FULL) as refused:
        write_atomically(str(path), "x" * 5000)
    assert refused.value.exit_code == 74
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["summary.json"]


@pytest.mark.parametrize(
    "code, expected",
    [
        (errno.ENOSPC, "No space left on the disk while writing x (No space left on device): make room"),
        (errno.EDQUOT, "No space left on the disk while writing x (Disk quota exceeded): make room"),
        (errno.EROFS, "Not allowed while writing x: Read-only file system. Choose a folder"),
        (errno.EACCES, "Not allowed while writing x: Permission denied. Choose a folder"),
        (errno.EIO, "The disk failed while writing x: Input/output error."),
    ],
)
@pytest.mark.parametrize("kind", ["python", "tensorflow"])
def test_messages(code, expected, kind):
    text = f"/some/file; {os.strerror(code)}"
    raised = OSError(code, text) if kind == "python" else tf.errors.UnknownError(None, None, text)
    with pytest.raises(DiskError) as refused, disk_errors("writing x"):
        raise raised
    assert expected in str(refused.value)


def test_other_errors_stay_what_they_are():
    with pytest.raises(tf.errors.InvalidArgumentError), disk_errors("writing x"):
        raise tf.errors.InvalidArgumentError(None, None, "shapes")
    with pytest.raises(ZeroDivisionError), disk_errors("writing x"):
        raise ZeroDivisionError


@pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": {}}', "\xff"])
def test_damaged_settings_are_told(content, tmp_path):
    (tmp_path / "settings.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"is damaged .*--overwrite"):
        read_json(str(tmp_path / "settings.json"), {"generation": str, "settings": dict})
