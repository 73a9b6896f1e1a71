"""Jobs in a file of SQLite: one machine, any number of processes; what was accepted outlives them all.

``store`` is what the reactor's thread sees of it, ``thread`` the one thread that touches the file; what is
asked of the file is in ``submitting``, ``running``, ``owning``, ``bodies``, ``sweeping`` and ``telling``.
"""
