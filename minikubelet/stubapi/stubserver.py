"""The stub API server as a whole: start, stop, address, token, kubeconfig.

Puts the parts together and owns their lifetimes; has no rules and no routes of its own.
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from minikubelet.stubapi.stubcerts import ensure_identity, ensure_token, write_private
from minikubelet.stubapi.stubcommits import Committer
from minikubelet.stubapi.stubdaemons import DaemonSets
from minikubelet.stubapi.stubdeletion import DeleteOptions
from minikubelet.stubapi.stubgarbage import Garbage
from minikubelet.stubapi.stubhandlers import Handlers, LogHandler
from minikubelet.stubapi.stubkubeconfig import write_kubeconfig
from minikubelet.stubapi.stubmetrics import Metrics
from minikubelet.stubapi.stubnodelinks import JoinedNodes, NodeLinks
from minikubelet.stubapi.stubnodes import GRACE_SECONDS, SilentNodes
from minikubelet.stubapi.stubpersistence import StateLog
from minikubelet.stubapi.stubproxy import PodProxy
from minikubelet.stubapi.stubrequests import BODY_MAX
from minikubelet.stubapi.stubresources import EVENTS, FIRST_NAMESPACES, NAMESPACES, Target
from minikubelet.stubapi.stubroles import first_roles
from minikubelet.stubapi.stubsecurity import NO_SECRETS, Security, SecuritySetup
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.stubapi.stubstore import HISTORY, Key, Store
from minikubelet.stubapi.stubwatch import Watches
from minikubelet.stubapi.stubwrites import Writes
from minikubelet.wire.podcells import parse_time

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine
    from pathlib import Path

__all__ = ["LogHandler", "StubServer"]

_log = structlog.get_logger(__name__)
_BOOKMARK_SECONDS = 60.0
_SWEEP_SECONDS = 60.0
_PORTS = 65536
_RENEW_SECONDS = 12 * 3600.0
_EVENT_LIFE = timedelta(hours=1)
_SHUTDOWN_SECONDS = 5.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound to


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class StubServer:
    """A Kubernetes API server small enough to be embedded, with its state in one directory.

    It runs no scheduler, and of controllers garbage collection, DaemonSets and the one of silent nodes.
    With `default_node`, a pod that is created without a node is bound to that one at once. `port` 0 takes
    the last one again or any free one; a node may be silent for `node_grace` seconds; `log_handler` answers
    `pods/log` where no node is to be asked.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        default_node: str | None = None,
        log_handler: LogHandler | None = None,
        clock: Callable[[], datetime] = utc_now,
        history: int = HISTORY,
        bookmark_seconds: float = _BOOKMARK_SECONDS,
        node_grace: float = GRACE_SECONDS,
        security: SecuritySetup = NO_SECRETS,
    ) -> None:
        self._state_dir = state_dir
        self._host = host
        self._port = port
        self._default_node = default_node
        self._log_handler = log_handler
        self._clock = clock
        self._history = history
        self._bookmark_seconds = bookmark_seconds
        self._node_grace = node_grace
        self._setup = security
        self._stack: AsyncExitStack | None = None
        self._token = ""
        self.nodes = NodeLinks()
        """where nodes are called for logs and streams; whoever runs a node adds it"""

    @property
    def url(self) -> str:
        """Where clients on this machine reach the server, once it is started."""
        host = _ANY_ADDRESS.get(self._host, self._host)
        return f"https://[{host}]:{self._port}" if ":" in host else f"https://{host}:{self._port}"

    @property
    def ca_file(self) -> Path:
        """The certificate authority that clients trust, in PEM."""
        return self._state_dir / "ca.crt"

    @property
    def token(self) -> str:
        """The bearer token, once the server is started."""
        return self._token

    def write_kubeconfig(self, path: Path) -> None:
        """Write a kubeconfig for this server, 0600."""
        write_kubeconfig(path, url=self.url, ca=self.ca_file.read_bytes(), token=self._token)

    async def start(self) -> None:
        """Load the state and listen.

        Raises:
            OSError: the address cannot be listened on, or the directory cannot be used; `StateInUseError`
                when another server has it.
        """
        async with AsyncExitStack() as stack:
            log = await asyncio.to_thread(StateLog, self._state_dir)
            stack.callback(log.close)
            version, objects = await asyncio.to_thread(log.load)
            store = Store(version, objects, self._history)
            committer = Committer(store, log)
            writes = await self._start_writing(stack, store, committer)
            await self._listen(stack, store, writes, committer)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """End the watches, finish what is being written, and let go of the directory."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    async def _start_writing(self, stack: AsyncExitStack, store: Store, committer: Committer) -> Writes:
        writing = asyncio.create_task(committer.run(), name="stub-committer")

        async def finish() -> None:
            committer.close()
            await writing

        stack.push_async_callback(finish)
        writes = Writes(store, committer, self._clock, self._default_node)
        for name in FIRST_NAMESPACES:
            if store.get(NAMESPACES, Key("", name)) is None:
                await writes.create(Target(NAMESPACES), {"metadata": {"name": name}})
        missing = [
            writes.create(Target(resource), body)
            for resource, body in first_roles()
            if store.get(resource, Key("", body["metadata"]["name"])) is None
        ]
        await asyncio.gather(*missing)
        await writes.resume()
        _keep_running(stack, self._sweep(store, writes), "stub-event-sweeper")
        _keep_running(stack, Garbage(store, writes).run(), "stub-garbage")
        _keep_running(stack, DaemonSets(store, writes, self._clock).run(), "stub-daemonsets")
        silent = SilentNodes(store, writes, self._clock, self._node_grace)
        _keep_running(stack, silent.run(), "stub-silent-nodes")
        return writes

    async def _listen(
        self, stack: AsyncExitStack, store: Store, writes: Writes, committer: Committer
    ) -> None:
        self._token = await asyncio.to_thread(ensure_token, self._state_dir)
        identity = await asyncio.to_thread(ensure_identity, self._state_dir, self._host, self._clock())
        security = Security(
            self._state_dir, store, committer, self._clock, token=self._token, setup=self._setup
        )
        await security.signer.look_at_all()
        self.nodes.look_up(JoinedNodes(self._state_dir, store, self._clock).find)
        watches = Watches(store, self._clock, self._bookmark_seconds)
        handlers = Handlers(
            store,
            writes,
            watches,
            security=security,
            clock=self._clock,
            log_handler=self._log_handler,
            pod_proxy=PodProxy(self.nodes),
            metrics=Metrics(store, self.nodes),
        )
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_route("*", "/{path:.*}", handlers.handle)
        # A watch whose client is gone must not linger until the next event: its handler is cancelled.
        runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS, access_log=None
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.callback(watches.close)
        context = identity.server_context()
        await self._bind(runner, context)
        _keep_running(stack, self._renew(context), "stub-certificate-renewal")

    async def _bind(self, runner: web.AppRunner, context: ssl.SSLContext) -> None:
        """Listen; where any port will do, on the last one if it is free, so that kubeconfigs stay right."""
        remembered = self._state_dir / "port"
        last = _read_port(remembered) if self._port == 0 else 0
        if last:
            try:
                await web.TCPSite(runner, self._host, last, ssl_context=context).start()
            except OSError as problem:
                await _log.ainfo("the last port is taken, another one is used", problem=str(problem))
        try:
            if not runner.addresses:
                await web.TCPSite(runner, self._host, self._port, ssl_context=context).start()
        except (OverflowError, UnicodeError) as problem:
            raise OSError(errno.EINVAL, f"{self._host}:{self._port} is no address") from problem
        self._port = runner.addresses[0][1]
        write_private(remembered, f"{self._port}\n".encode())

    async def _renew(self, context: ssl.SSLContext) -> None:
        """Give a server that runs for a year its new certificate in time; open connections stay."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                identity = await asyncio.to_thread(
                    ensure_identity, self._state_dir, self._host, self._clock()
                )
                context.load_cert_chain(identity.cert_file, identity.key_file)
                context.load_verify_locations(identity.ca_file)
            except OSError as problem:
                await _log.awarning("the certificate could not be renewed yet", problem=str(problem))

    async def _sweep(self, store: Store, writes: Writes) -> None:
        """Forget Events an hour after they last happened, as upstream does."""
        while True:
            oldest = self._clock() - _EVENT_LIFE
            for stored in store.select(EVENTS):
                meta = stored.obj["metadata"]
                last = parse_time(stored.obj.get("lastTimestamp") or meta["creationTimestamp"])
                if last is None or last < oldest:
                    target = Target(EVENTS, meta["namespace"], meta["name"])
                    with suppress(ApiError):
                        await writes.delete(target, DeleteOptions())
            await asyncio.sleep(_SWEEP_SECONDS)


def _read_port(path: Path) -> int:
    try:
        port = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return port if 0 < port < _PORTS else 0


def _keep_running(stack: AsyncExitStack, work: Coroutine[None, None, None], name: str) -> None:
    """Run background work until the stack unwinds."""
    task = asyncio.create_task(work, name=name)

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)
