"""Files are there whole or not at all, and what the disk refuses is told in one line."""

import errno
import os

import pytest
import tensorflow as tf

from gsda_tf import files
from gsda_tf.errors import DiskError, UserError
from gsda_tf.files import disk_errors, write_atomically
from tests.faults.limited import files_up_to

_FULL = "^The disk refuses while .*: .*Make room, .*run the same command again"


def test_a_text_file_keeps_what_it_held(tmp_path):
    path = tmp_path / "summary.json"
    write_atomically(str(path), "before")
    with files_up_to(1000), pytest.raises(DiskError, match=_FULL) as refused:
        write_atomically(str(path), "x" * 5000)
    assert refused.value.exit_code == 74
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["summary.json"]


def test_bytes_of_a_name_that_are_no_unicode_stay(tmp_path):
    write_atomically(str(tmp_path / "x"), os.fsdecode(b"a\xff.png"))
    assert (tmp_path / "x").read_bytes() == b"a\xff.png"


@pytest.mark.parametrize(
    "code, expected",
    [
        (errno.ENOSPC, "The disk refuses while writing x: No space left on device. Make room"),
        (errno.EDQUOT, "The disk refuses while writing x: Disk quota exceeded. Make room"),
        (errno.EROFS, "The disk refuses while writing x: Read-only file system."),
        (errno.EACCES, "The disk refuses while writing x: Permission denied."),
        (errno.EIO, "The disk refuses while writing x: Input/output error."),
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


class TestReadingWhole:
    """What has no end is not begun."""

    def test_what_a_file_holds(self, tmp_path):
        (tmp_path / "a").write_bytes(b"12345")
        (tmp_path / "link").symlink_to(tmp_path / "a")
        assert files.read_regular(str(tmp_path / "a"), 5) == files.read_regular(str(tmp_path / "link"), 9) == b"12345"

    @pytest.mark.parametrize("kind", ["pipe", "device", "folder", "bytes"])
    def test_what_is_refused_at_once(self, tmp_path, kind):
        path = tmp_path / "x"
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            with open(path, "wb") as file:
                file.truncate(2**40)  # sparse: it takes no room
        with pytest.raises(UserError, match=kind):
            files.read_regular(str(path), 1000)

    def test_a_file_that_lies_about_its_size(self):
        with pytest.raises(UserError, match="more than 3 bytes"):
            files.read_regular("/proc/self/status", 3)
