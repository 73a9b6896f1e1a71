"""Where jobs are kept: ``memory``, ``sqlite`` and ``redis`` are each a ``JobStore``."""
