"""A process that ends with its parent, whatever ends the parent (prctl(2), PR_SET_PDEATHSIG).

The kernel sends the signal, so nothing has to be noticed, and no socket is held by a process that nobody
looks after.  It is sent when the *thread* that started this process ends; a reactor spawns in the thread that
ends last.  An exec keeps it (unless it gains privileges), a fork does not.
"""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> bool:
    """Be killed when ``parent`` ends; return whether that could be arranged, and the parent is still there.

    Whoever gets ``False`` ends himself: a parent that was gone before this was asked for sends no signal.
    """
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (AttributeError, OSError):
        return False
    is_arranged: bool = prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0) == 0
    return is_arranged and os.getppid() == parent
