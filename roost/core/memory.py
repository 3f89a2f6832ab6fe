"""What the C library does with memory that is given back."""

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3
LARGE_BYTES = 1024 * 1024


def return_large_blocks() -> None:
    """Blocks of a megabyte and more go back to the system when they are freed.

    Left alone, glibc raises that size to the largest block it has seen freed and keeps what is smaller: the 19 MiB
    that hashing a password needs would stay with the process after the first sign-in. Elsewhere nothing happens.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
