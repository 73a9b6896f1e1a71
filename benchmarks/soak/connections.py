"""Connections of a server in the soak: each served until it ends, all of them ended with the scenario."""

from __future__ import annotations

import asyncio


class Connections:
    """Serves connections, one exchange after the other; ``exchange`` is what a server does."""

    def __init__(self) -> None:
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, and answer it; raises when the connection has ended or makes no sense."""
        raise NotImplementedError

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        await asyncio.wait([task])

    async def stop(self) -> None:
        """End the connections that are left."""
        left = list(self._serving)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self.exchange(reader, writer)
        except (OSError, EOFError, ValueError):
            return
        finally:
            writer.close()
