"""What the collector of cycles need not look at: all that stays as long as a configuration is in use.

This module does not know what that is.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""Objects made and not yet freed before the collector looks for cycles.

Exchanges leave none, and a few dozen under way at once are more than its usual 700, which made it look after
every thirtieth request.
"""


def keep_what_stays() -> None:
    """Take everything that there is now out of the collector's sight, until this is called again."""
    # what was frozen last time and is gone by now would stay for ever
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
