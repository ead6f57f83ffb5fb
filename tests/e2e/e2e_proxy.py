"""A socket in front of the engine's own that a test can close and open: an engine that goes and comes."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path


class Proxy:
    """Passes bytes between clients of `path` and the engine; while closed, nothing answers at `path`."""

    def __init__(self, path: Path, engine: str) -> None:
        self.path = path
        self._engine = engine
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()

    def open(self) -> None:
        """Let clients in."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen(64)
        self._listener = listener
        self._begin(self._accept, listener)

    def close(self) -> None:
        """Cut every connection off, and let no new one in."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self.path.unlink()
        self.flow()
        _cut(listener)
        with self._lock:
            cut, self._open = self._open, []
        for each in cut:
            _cut(each)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def hang(self) -> None:
        """Keep every connection, and pass nothing on: an engine that takes calls and does not answer."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on what was held back, and all that comes."""
        self._flows.set()

    def _begin(self, work: object, *arguments: socket.socket) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self._engine)
                with self._lock:
                    if self._listener is not listener:
                        _cut(client)
                        _cut(engine)
                        return
                    self._open += [client, engine]
                self._begin(self._pass_on, client, engine)
                self._begin(self._pass_on, engine, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _cut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
