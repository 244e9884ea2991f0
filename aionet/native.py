"""What the kernel does for a process even if no Python can run in it, and `signal` has no name for.

Where Python was built without ctypes, these do nothing, and what they guard against may happen.
"""

from __future__ import annotations

import os

try:
    import ctypes
except ImportError:
    ctypes = None  # type: ignore[assignment]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# struct sigaction of glibc and musl: a pointer, a mask of 1024 bits, the flags.
_SIZE = 256  # more than it has
_FLAGS = ctypes.sizeof(ctypes.c_void_p) + 128 if ctypes is not None else 0
_SA_RESETHAND = 0x80000000


def signal_when_parent_dies(number: int, parent: int) -> None:
    """Have the kernel send this to us when `parent` has died, perhaps already; 0: nothing."""
    if ctypes is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if number and os.getppid() != parent:  # it died after the fork and before that call
        os.kill(os.getpid(), number)


def handle_once(number: int) -> None:
    """Have the kernel put back the default action of this signal as soon as it was delivered once.

    For one that has a handler. `signal.signal` could do that only when the interpreter gets to
    the handler, which it does not in a call that keeps the GIL.
    """
    if ctypes is None:
        return
    libc, action = ctypes.CDLL(None), ctypes.create_string_buffer(_SIZE)
    if libc.sigaction(number, None, action) == 0:
        flags = ctypes.c_uint.from_buffer(action, _FLAGS)
        flags.value |= _SA_RESETHAND
        libc.sigaction(number, action, None)
