"""A disk that is full, without one: the kernel lets no file of this process grow beyond some bytes."""

import contextlib
import resource


@contextlib.contextmanager
def files_up_to(size: int):
    """Writing beyond `size` bytes fails as it does on a full disk, but with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
