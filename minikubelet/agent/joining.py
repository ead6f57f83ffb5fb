"""Joining a cluster: which credentials a life begins with, the first certificate, and its successors.

Belongs here: what kubeconfig, bootstrap kubeconfig and `rotateCertificates` lead to. May not be here: how a
certificate is asked for (`apiclient`). Follows upstream's pkg/kubelet/certificate/bootstrap, but that a node
without certificate waits for none: its static pods run, and it joins when it is let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import minikubelet
from minikubelet.agent.agentplan import AgentPlan
from minikubelet.apiclient.apibackoff import Backoff
from minikubelet.apiclient.apicertstore import Pair, PairStore, read_pair, write_private
from minikubelet.apiclient.apicertwish import (
    CertificateRefused,
    ask_certificate,
    client_wish,
    key_pem,
    new_key,
)
from minikubelet.apiclient.apiconnection import Connection, Material
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable, KubeconfigError
from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apikubefile import write_node_kubeconfig
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.apiclient.apirotation import Rotation, RotationTimes

STORE: Final = "kubelet-client"
_UNFINISHED: Final = "kubelet-client.key.tmp"
_NOT_YET: Final = "this node has no client certificate yet"
_PATIENCE_SECONDS: Final = 3600.0
USER_AGENT: Final = f"minikubelet/{minikubelet.__version__}"

_log = structlog.get_logger()


class Joining:
    """One life's way into its cluster."""

    def __init__(self, plan: AgentPlan, times: RotationTimes | None = None) -> None:
        self._plan = plan
        self._times = times or RotationTimes()
        self._file = plan.kubeconfig or plan.places.kubeconfig
        self._store = PairStore(plan.cert_dir, STORE)
        self._bootstrap: Connection | None = None
        self._bootstraps = False
        self._rotates = False
        self.rotation: Rotation | None = None
        """what keeps the client certificate fresh, where the agent does"""

    @property
    def bootstraps(self) -> bool:
        """Whether it is the bootstrap kubeconfig that is used or cannot be."""
        return self._bootstraps

    def connection(self) -> Connection:
        """What the agent connects with; raises KubeconfigError and OSError."""
        if self._plan.bootstrap_kubeconfig is None:
            return self._rotated(load_kubeconfig(self._file))
        known = _usable(self._file, self._times.now())
        if known is not None:
            return self._rotated(known)
        self._bootstraps = True
        self._bootstrap = load_kubeconfig(self._plan.bootstrap_kubeconfig)
        self._rotates = self._plan.settings.kubelet.rotate_certificates
        # The certificate that is not there yet: until it is, the API server is out of reach.
        nobody = replace(self._bootstrap, token=None, token_file=None, exec_plugin=None)
        return self._with_store(nobody)

    def tasks(self, client: ApiClient) -> tuple[Callable[[], Coroutine[object, object, None]], ...]:
        """What has to run until cancelled."""
        if self._rotates:
            self.rotation = Rotation(
                client, self._store, client_wish(self._plan.node_name), times=self._times
            )
        return (self._run,) if self._bootstrap is not None or self._rotates else ()

    async def _run(self) -> None:
        if self._bootstrap is not None:
            await self._join(self._bootstrap)
        if self.rotation is not None:
            await self.rotation.run()

    async def _join(self, bootstrap: Connection) -> None:
        backoff = Backoff(self._times.backoff, self._times.rng)
        key = await asyncio.to_thread(self._key)
        wish = client_wish(self._plan.node_name)
        client = ApiClient(bootstrap, user_agent=USER_AGENT)
        try:
            while True:
                try:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        chain = await ask_certificate(client, key, wish, once=True)
                    await asyncio.to_thread(self._keep, bootstrap, chain, key)
                except (ApiError, ApiUnreachable, CertificateRefused, TimeoutError, OSError) as error:
                    problem = str(error) or "nobody has approved the request for an hour"
                    hint = "pods run, but the cluster knows nothing of them; see `kubectl get csr`"
                    _log.warning("the cluster has not let this node in yet", problem=problem, hint=hint)
                    await self._times.sleep(backoff.next_seconds())
                else:
                    break
        finally:
            await client.aclose()
        _log.info("this node has joined", kubeconfig=str(self._file), certificate=str(self._store.path))

    def _keep(self, bootstrap: Connection, chain: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        self._store.store(chain, key_pem(key), self._times.now())
        write_node_kubeconfig(self._file, bootstrap, self._store.path)
        (self._plan.cert_dir / _UNFINISHED).unlink(missing_ok=True)

    def _key(self) -> ec.EllipticCurvePrivateKey:
        """The key of a request that an earlier life has made, or a new one; kept until there is an answer."""
        path = self._plan.cert_dir / _UNFINISHED
        try:
            found = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError):
            found = None
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found
        key = new_key()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, key_pem(key))
        return key

    def _rotated(self, connection: Connection) -> Connection:
        """The connection as it is, or with the certificate that is kept fresh."""
        if connection.certificate is None or connection.key is None:
            return connection
        now, given = self._times.now(), _pair_of(connection)
        if given is not None and not self._plan.settings.kubelet.rotate_certificates:
            ends = given.certificate.not_valid_after_utc.isoformat()
            hint = "it is not renewed by this agent: rotateCertificates is false"
            _log.info("client certificate", until=ends, hint=hint)
            return connection
        kept = self._store.load()
        if kept is None or kept.is_over(now):
            if given is None:
                return connection
            self._store.store(given.chain, given.key, now)
        self._rotates = True
        return self._with_store(connection)

    def _with_store(self, connection: Connection) -> Connection:
        path = self._store.path
        return replace(
            connection,
            certificate=Material("client-certificate", path=path, missing=_NOT_YET),
            key=Material("client-key", path=path, missing=_NOT_YET),
        )


def _usable(file: Path, now: datetime) -> Connection | None:
    """What a kubeconfig says, if it holds a client certificate that has not ended."""
    try:
        connection = load_kubeconfig(file)
    except KubeconfigError:
        return None
    pair = _pair_of(connection)
    return connection if pair is not None and not pair.is_over(now) else None


def _pair_of(connection: Connection) -> Pair | None:
    def content(material: Material | None) -> bytes:
        if material is None or material.path is None:
            return material.inline or b"" if material is not None else b""
        return material.path.read_bytes()

    try:
        return read_pair(content(connection.certificate), content(connection.key))
    except OSError:
        return None
