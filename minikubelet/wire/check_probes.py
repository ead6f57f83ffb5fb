"""Rules for probes and lifecycle hooks: one handler, ports, thresholds.

Belongs here: what a handler needs. May not be here: which containers may have probes (`check_containers`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from minikubelet.model.pod import Container, ExecAction, HTTPGetAction, Lifecycle, Probe, TCPSocketAction
from minikubelet.model.podbase import UriScheme
from minikubelet.wire import check_names as names
from minikubelet.wire.fieldpaths import Findings, Path

_SCHEMES = tuple(UriScheme)
_SIGNAL = re.compile(
    r"SIG(ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT|STOP|SYS|TERM"
    r"|TRAP|TSTP|TTIN|TTOU|URG|USR[12]|VTALRM|WINCH|XCPU|XFSZ|RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?)"
)


def check_probes(container: Container, path: Path, findings: Findings, *, grace: int | None) -> None:
    """Check the three probes and the hooks of a container; `grace` is its pod's, in seconds."""
    for key, probe in (
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
    ):
        if probe is not None:
            _check_probe(probe, key, (*path, key), findings)
    if container.lifecycle is not None:
        _check_lifecycle(container.lifecycle, (*path, "lifecycle"), findings, grace)


def _check_probe(probe: Probe, key: str, path: Path, findings: Findings) -> None:
    handlers = {
        "exec": probe.exec, "httpGet": probe.http_get, "tcpSocket": probe.tcp_socket, "grpc": probe.grpc
    }  # fmt: skip
    _check_handlers(handlers, path, findings)
    for name, number in (
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        if number < 0:
            findings.invalid((*path, name), number, "must be greater than or equal to 0")
    if key != "readinessProbe" and probe.success_threshold > 1:
        findings.invalid((*path, "successThreshold"), probe.success_threshold, "must be 1")
    if probe.grpc is not None:
        _check_port(probe.grpc.port, (*path, "grpc", "port"), findings)
    grace = probe.termination_grace_period_seconds
    if grace is not None and key == "readinessProbe":
        findings.forbidden((*path, "terminationGracePeriodSeconds"), "readiness probes never end a container")
    elif grace is not None and grace <= 0:
        findings.invalid((*path, "terminationGracePeriodSeconds"), grace, "must be greater than 0")


def _check_lifecycle(lifecycle: Lifecycle, path: Path, findings: Findings, grace: int | None) -> None:
    for key, hook in (("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)):
        if hook is None:
            continue
        handlers = {
            "exec": hook.exec, "httpGet": hook.http_get, "tcpSocket": hook.tcp_socket, "sleep": hook.sleep
        }  # fmt: skip
        _check_handlers(handlers, (*path, key), findings)
        if hook.sleep is not None:
            _check_sleep(hook.sleep.seconds, (*path, key, "sleep", "seconds"), findings, grace)
    if lifecycle.stop_signal and not _SIGNAL.fullmatch(lifecycle.stop_signal):
        findings.invalid((*path, "stopSignal"), lifecycle.stop_signal, "must be a signal such as SIGTERM")


def _check_sleep(seconds: int, path: Path, findings: Findings, grace: int | None) -> None:
    if seconds < 0:
        findings.invalid(path, seconds, "must not be negative")
    elif grace is not None and 0 <= grace < seconds:
        findings.invalid(path, seconds, f"must be no more than terminationGracePeriodSeconds ({grace})")


def _check_handlers(handlers: Mapping[str, object], path: Path, findings: Findings) -> None:
    given = {key: handler for key, handler in handlers.items() if handler is not None}
    if not given:
        findings.required(path, f"must specify a handler type ({', '.join(handlers)})")
    for key in list(given)[1:]:
        findings.forbidden((*path, key), "may not specify more than 1 handler type")
    for key, handler in given.items():
        _check_handler(handler, (*path, key), findings)


def _check_handler(handler: object, path: Path, findings: Findings) -> None:
    match handler:
        case ExecAction() if not handler.command:
            findings.required((*path, "command"))
        case HTTPGetAction():
            _check_port(handler.port, (*path, "port"), findings)
            if not handler.path:
                findings.required((*path, "path"))
            if handler.scheme not in _SCHEMES:
                findings.unsupported((*path, "scheme"), handler.scheme, _SCHEMES)
            for number, header in enumerate(handler.http_headers):
                if not header.name or not header.name.replace("-", "").replace("_", "").isalnum():
                    findings.invalid(
                        (*path, "httpHeaders", number, "name"),
                        header.name,
                        "must be letters, digits, '-' and '_'",
                    )
        case TCPSocketAction():
            _check_port(handler.port, (*path, "port"), findings)
        case _:
            pass


def _check_port(port: int | str, path: Path, findings: Findings) -> None:
    wrong = names.port_number(port) if isinstance(port, int) else names.port_name(port)
    if wrong:
        findings.invalid(path, port, wrong)
