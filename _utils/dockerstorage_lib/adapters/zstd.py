"""The zstandard library, imported when it is used: all else works on a host without it."""

from __future__ import annotations

from types import ModuleType

from ..errors import Refused

#: The highest that is used; higher ones would need more memory to be read.
MAX_LEVEL = 19
#: What level 19 uses. It is all the memory that reading takes.
MAX_WINDOW_BYTES = 2**23


def library() -> ModuleType:
    """The library; raises Refused with the remedy if it is missing."""
    try:
        import zstandard
    except ImportError:
        raise Refused(
            "the Python package 'zstandard' is missing; install it into Salt's own Python: "
            "salt-pip install zstandard"
        ) from None
    return zstandard
