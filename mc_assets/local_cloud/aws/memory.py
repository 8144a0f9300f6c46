"""How the process asks the system for memory."""

import ctypes

# source: glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1 << 18


def return_large_buffers() -> None:
    """Have every large buffer given back to the system as soon as it is free.

    glibc does so by default only until the first of them is freed: then it raises what it calls
    large, up to 32 MB, and bodies of uploads leave holes in its heaps that stay in use for ever.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
