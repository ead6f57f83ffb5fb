"""The configuration file, quantities and durations."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from minikubelet.model.podquantity import MAX, milli, parse_quantity, spell_number, whole
from minikubelet.model.settings import AgentSettings, KubeletSettings, LogFormat, Settings
from minikubelet.wire.durations import parse_duration, spell_duration
from minikubelet.wire.settingsfile import SettingsFault, SettingsReading, read_settings

KUBELET = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
AGENT = "apiVersion: minikubelet.dev/v1alpha1\nkind: AgentConfiguration\n"


def read(text: str, directory: str = "") -> SettingsReading:
    return read_settings(text.encode(), directory=directory)


def kubelet(text: str) -> KubeletSettings:
    return read(KUBELET + text).settings.kubelet


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsFault) as caught:
        read(text)
    return caught.value.messages


def test_both_documents_are_read() -> None:
    """Upstream's schema in one, the agent's own in the other, in either order."""
    first = (
        KUBELET + "fileCheckFrequency: 1m30s\nmaxPods: 7\ncontainerLogMaxSize: 5Mi\nclusterDNS: [10.0.0.10]\n"
    )
    second = AGENT + "journal: {maxSize: 1Gi, maxAge: 24h}\napiServer: {embed: false, port: 6443}\n"
    settings = read(f"{first}---\n{second}").settings
    assert settings == read(f"{second}---\n{first}").settings
    assert (settings.kubelet.file_check_frequency, settings.kubelet.max_pods) == (90.0, 7)
    assert (settings.kubelet.container_log_max_size, settings.kubelet.cluster_dns) == (
        5 * 2**20,
        ("10.0.0.10",),
    )
    assert (settings.agent.journal.max_size, settings.agent.journal.max_age) == (2**30, 86_400.0)
    assert (settings.agent.api_server.embed, settings.agent.api_server.port) == (False, 6443)


def test_an_empty_file_is_all_defaults() -> None:
    """The defaults are upstream's."""
    settings = read("# nothing\n").settings
    assert settings == Settings(kubelet=KubeletSettings(), agent=AgentSettings())
    assert (settings.kubelet.file_check_frequency, settings.kubelet.max_pods) == (20.0, 110)
    assert settings.agent.static_pod_namespace == "kube-system"


def test_zero_means_unset_where_it_does_upstream() -> None:
    """`fileCheckFrequency: 0s` is 20 s; a shutdown grace period of 0 is 0."""
    settings = kubelet("fileCheckFrequency: 0s\nmaxPods: 0\npodLogsDir: ''\nshutdownGracePeriod: 0s\n")
    assert settings == KubeletSettings()


def test_defaults_that_depend_on_others_are_upstreams() -> None:
    """Reports follow updates where only these are set; parallel pulls are not serialised."""
    assert kubelet("nodeStatusUpdateFrequency: 5s").node_status_report_frequency == 5.0
    both = kubelet("nodeStatusUpdateFrequency: 5s\nnodeStatusReportFrequency: 1m")
    assert both.node_status_report_frequency == 60.0
    assert not kubelet("maxParallelImagePulls: 3").serialize_image_pulls
    assert kubelet("maxParallelImagePulls: 1").serialize_image_pulls


def test_relative_paths_are_taken_from_the_files_directory() -> None:
    """As upstream does; absolute and empty ones stay."""
    text = f"{KUBELET}staticPodPath: manifests\n---\n{AGENT}stateDir: state\n"
    settings = read(text, "/etc/mk").settings
    assert (settings.kubelet.static_pod_path, settings.agent.state_dir) == (
        "/etc/mk/manifests",
        "/etc/mk/state",
    )
    assert settings.kubelet.pod_logs_dir == "/var/log/pods"
    assert read(KUBELET, "/etc/mk").settings.kubelet.static_pod_path == ""


def test_known_fields_without_effect_are_warned_of_by_name() -> None:
    """Whatever their value: a kubelet's file is accepted as it is."""
    reading = read(f"{KUBELET}memorySwap: {{swapBehavior: x}}\ntracing: {{endpoint: x}}\n")
    assert reading.settings == Settings()
    assert reading.warnings == (
        "line 3: memorySwap is known but has no effect yet",
        "line 4: tracing is known but has no effect yet",
    )


def test_who_may_call_the_node_api_and_where_it_listens() -> None:
    text = (
        "authentication:\n  x509: {clientCAFile: ca.crt}\n"
        "  webhook: {cacheTTL: 3m0s}\n  anonymous: {enabled: true}\n"
        "authorization: {mode: AlwaysAllow, webhook: {cacheUnauthorizedTTL: 1s}}\n"
        "address: '::1'\nport: 0\ntlsCertFile: a.crt\ntlsPrivateKeyFile: /b.key\n"
    )
    kubelet = read(KUBELET + text, "/etc/mk").settings.kubelet
    assert kubelet.authentication.x509.client_ca_file == "/etc/mk/ca.crt"
    assert (kubelet.authentication.webhook.enabled, kubelet.authentication.webhook.cache_ttl) == (True, 180)
    assert kubelet.authentication.anonymous.enabled
    assert (kubelet.authorization.mode, kubelet.authorization.webhook.cache_unauthorized_ttl) == (
        "AlwaysAllow",
        1,
    )
    assert (kubelet.address, kubelet.port) == ("::1", 10250)
    assert (kubelet.tls_cert_file, kubelet.tls_private_key_file) == ("/etc/mk/a.crt", "/b.key")
    plain = read(KUBELET).settings.kubelet
    assert (plain.address, plain.authorization.mode) == ("127.0.0.1", "Webhook")
    assert not plain.authentication.anonymous.enabled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("authorization: {mode: Always}", "must be AlwaysAllow or Webhook"),
        ("address: everywhere", "must be an IPv4 or IPv6 address"),
        ("port: 70000", "must be between 1 and 65535"),
        ("tlsCertFile: a.crt", "goes together with tlsPrivateKeyFile"),
        ("authentication: {anonymus: {}}", 'did you mean "anonymous"?'),
        ("staticPodpath: x", 'unknown field "staticPodpath", did you mean "staticPodPath"?'),
        ("evictionhard: {}", 'did you mean "evictionHard"?'),
        ("nonsense: 1", 'line 3: nonsense: unknown field "nonsense"'),
        ("maxPods: '5'", "line 3: maxPods: Invalid type: expected a whole number, got text"),
        ("fileCheckFrequency: 20", "expected a duration such as 20s or 1m30s, got a number"),
        ("fileCheckFrequency: 20 s", "fileCheckFrequency: Invalid value"),
        ("fileCheckFrequency: -1s", "fileCheckFrequency: Invalid value: -1.0: must be at least 0"),
        ("containerLogMaxSize: 5MB", "containerLogMaxSize: Invalid value"),
        ("containerLogMaxFiles: 1", "containerLogMaxFiles: Invalid value: 1: must be at least 2"),
        ("clusterDNS: [x]", "line 3: clusterDNS[0]: Invalid value"),
        ("maxPods: 1\nmaxPods: 2", "line 4, column 1: the key 'maxPods' stands here and on line 3"),
        ("serializeImagePulls: true\nmaxParallelImagePulls: 2", "line 4: maxParallelImagePulls: Forbidden"),
        ("shutdownGracePeriodCriticalPods: 1s", "must not exceed shutdownGracePeriod"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_line(text: str, message: str) -> None:
    """An agent that starts with half its configuration would be worse than one that does not."""
    found = faults(KUBELET + text)
    assert any(message in line for line in found), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1", "line 1: expected `apiVersion: kubelet.config.k8s.io/v1beta1`"),
        ("[1]", "line 1: expected a mapping, got a list"),
        (f"{KUBELET}---\n{KUBELET}", "line 4: a second KubeletConfiguration; the first is on line 1"),
        (f"{AGENT}staticPodNamespace: A", "line 3: staticPodNamespace: Invalid value"),
        (f"{AGENT}apiServer: {{port: 70000}}", "line 3: apiServer.port: Invalid value: 70000"),
        (f"{AGENT}apiServer: {{address: here}}", "apiServer.address: Invalid value"),
        (f"{AGENT}apiServer: {{emb: true}}", 'apiServer.emb: unknown field "emb", did you mean "embed"?'),
        (f"{AGENT}journal: {{maxSize: 1k}}", "journal.maxSize: Invalid value: 1000: must be at least 64Ki"),
        (f"{AGENT}maxConcurrentRuntimeCalls: 0", "Calls: Invalid value: 0: must be at least 1"),
        ("a: [", "line 2, column 1"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_named_with_its_line(text: str, message: str) -> None:
    found = faults(text)
    assert any(message in line for line in found), found


@given(some.binary(max_size=200))
def test_no_bytes_make_it_raise_anything_but_a_fault(data: bytes) -> None:
    """Empty and commented files are all defaults; everything else is a fault."""
    try:
        reading = read_settings(data)
    except SettingsFault as fault:
        assert fault.messages  # noqa: PT017 - both ends are right, and each is looked at
    else:
        assert reading.settings == Settings()


@pytest.mark.parametrize(
    ("text", "units", "thousandths"),
    [
        ("1", 1, 1_000), ("500m", 1, 500), ("0.5", 1, 500), (".5", 1, 500), ("1.", 1, 1_000),
        ("1k", 1_000, 10**6),
        ("1Ki", 1_024, 1_024_000), ("1.5Gi", 3 * 2**29, 3 * 2**29 * 1_000), ("1e3", 1_000, 10**6),
        ("1E-3", 1, 1), ("1E", 10**18, 10**21), ("-1", -1, -1_000), ("100n", 1, 1),
        ("1e999", MAX, MAX * 1_000),
    ],
)  # fmt: skip
def test_quantities_are_read_exactly_and_rounded_up(text: str, units: int, thousandths: int) -> None:
    assert (whole(text), milli(text)) == (units, thousandths)


@pytest.mark.parametrize(
    "text", ["", "m", "1 Gi", "1mi", "1KB", "0x5", "1e", "--1", "1" * 100, "\u0661", "1\n"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must be a number with a suffix"):
        parse_quantity(text)


@given(some.integers(-(2**62), 2**62) | some.floats(-1e12, 1e12, allow_subnormal=False))
def test_a_bare_number_is_spelt_as_the_quantity_it_is(number: float) -> None:
    """Exact where nanos suffice, else rounded up by less than one of them."""
    spelt = parse_quantity(spell_number(number))
    exact = Fraction(repr(number))
    assert 0 <= spelt - exact < Fraction(1, 10**9)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20s", 20.0), ("1m30s", 90.0), ("1h", 3600.0), ("100ms", 0.1), ("1.5h", 5400.0), ("0", 0.0),
     ("-1s", -1.0), ("10us", 1e-5), ("10µs", 1e-5), ("1h1ns", 3600.000000001)],
)  # fmt: skip
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "20 s", "s", "1d", "1m30", "1s" * 40])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is a number with a unit"):
        parse_duration(text)


def test_what_is_reserved_and_how_full_a_disk_may_be_is_checked() -> None:
    reading = kubelet("systemReserved: {cpu: 200m, memory: 1Gi}\nimageGCHighThresholdPercent: 100\n")
    assert reading.system_reserved == {"cpu": "200m", "memory": "1Gi"}
    assert (reading.image_gc_high_threshold_percent, reading.image_minimum_gc_age) == (100, 120.0)
    wrong = (
        "systemReserved: {gpu: 1}\nkubeReserved: {cpu: -1, memory: much}\nimageGCHighThresholdPercent: 70\n"
        "imageMaximumGCAge: 1m\n"
    )
    named = " ".join(faults(KUBELET + wrong))
    for field in (
        "systemReserved.gpu",
        "kubeReserved.cpu",
        "kubeReserved.memory",
        "imageGCLowThresholdPercent",
        "imageMaximumGCAge",
    ):
        assert f"{field}: " in named
    (message,) = faults(KUBELET + "imageGCHighThresholdPercent: 101\n")
    assert "must be at most 100" in message


def test_only_sysctls_that_have_a_namespace_can_be_allowed() -> None:
    allowed = kubelet("allowedUnsafeSysctls: [kernel.msg*, net/core/somaxconn]\n").allowed_unsafe_sysctls
    assert allowed == ("kernel.msg*", "net/core/somaxconn")
    (message,) = faults(KUBELET + "allowedUnsafeSysctls: [net.*, vm.swappiness]\n")
    assert "allowedUnsafeSysctls[1]: Invalid value" in message
    assert "is not known to be namespaced" in message


def test_logging_is_read_as_bootstrap_tools_write_it() -> None:
    """Format and verbosity count; upstream's other fields are known, and named as without effect."""
    reading = read(
        f"{KUBELET}logging:\n  flushFrequency: 0\n  format: json\n  options: {{json: {{}}}}\n  verbosity: 4\n"
    )
    told = reading.settings.kubelet.logging
    assert (told.format, told.verbosity) == (LogFormat.JSON, 4)
    assert reading.warnings == (
        "line 4: logging.flushFrequency is known but has no effect yet",
        "line 6: logging.options is known but has no effect yet",
    )
    assert faults(f"{KUBELET}logging: {{format: xml}}\n") == (
        'line 3: logging.format: Invalid value: "xml": Unsupported log format',
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.85, "850ms"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (120.25, "2m0.25s"),
        (3603, "1h0m3s"),
        (-1, "0s"),
    ],
)
def test_durations_are_spelt_as_go_does(seconds: float, text: str) -> None:
    assert spell_duration(seconds) == text


BY_PRIORITY, SECONDS = "shutdownGracePeriodByPodPriority", "shutdownGracePeriodSeconds"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "shutdownGracePeriod: 500ms",
            'shutdownGracePeriod: Invalid value: "0.5s": must be at least 1s, or 0',
        ),
        (
            "shutdownGracePeriodCriticalPods: 10s",
            'shutdownGracePeriodCriticalPods: Invalid value: "10s": must not exceed shutdownGracePeriod',
        ),
        (
            f"{BY_PRIORITY}: [{{priority: 1, {SECONDS}: 5}}]\nshutdownGracePeriod: 10s",
            f"{BY_PRIORITY}: Forbidden: cannot be set together with shutdownGracePeriod",
        ),
        (
            f"{BY_PRIORITY}: [{{priority: 1, {SECONDS}: -5}}]",
            f"{BY_PRIORITY}[0].{SECONDS}: Invalid value: -5: must be at least 0",
        ),
        (
            f"{BY_PRIORITY}: [{{priority: 1, {SECONDS}: 1}}, {{priority: 1, {SECONDS}: 2}}]",
            f"{BY_PRIORITY}[1].priority: Invalid value: 1: is there twice",
        ),
    ],
)  # fmt: skip
def test_shutdown_periods_that_contradict_each_other_are_refused(text: str, message: str) -> None:
    assert faults(f"{KUBELET}{text}\n") == (f"line 3: {message}",)
