"""Secrets are taken out of pods and texts, and nothing else is."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from minikubelet.wire.redaction import REDACTED, redact_pod, redact_text, secret_values
from tests.wire.wire_world import accepted, changed, small_pod

SECRETS = [f"s3cret-{n}" for n in range(12)]


def secretive() -> object:
    pod = small_pod()
    pod["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": f"{{{SECRETS[0]}}}",
        "note": "kept",
    }
    headers = [{"name": "Authorization", "value": f"Bearer {SECRETS[1]}"}]
    pod["spec"]["containers"][0] |= {
        "env": [
            {"name": "PASSWORD", "value": SECRETS[2]},
            {"name": "EMPTY", "value": ""},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "command": ["server", f"--password={SECRETS[3]}", "--api-key", SECRETS[4], "--port=80", "--verbose"],
        "args": [
            "sh", "-c", f"DB_TOKEN='{SECRETS[5]}' run --secret-file {SECRETS[6]} --db postgres://u:{SECRETS[7]}@h/d",
        ],
        "livenessProbe": {"httpGet": {"port": 80, "httpHeaders": headers}},
        "readinessProbe": {"exec": {"command": ["check", "--token", SECRETS[8]]}},
        "lifecycle": {
            "postStart": {"httpGet": {"port": 80, "httpHeaders": [{"name": "X", "value": SECRETS[9]}]}},
            "preStop": {"exec": {"command": ["curl", "-H", f"Authorization: Bearer {SECRETS[10]}"]}},
        },
    }  # fmt: skip
    pod["spec"]["initContainers"] = [
        {"name": "init", "image": "a", "env": [{"name": "A", "value": SECRETS[11]}]}
    ]
    return pod


def test_a_redacted_pod_holds_no_secret_and_keeps_its_shape() -> None:
    """Names, ports, flags and references stay, so that a journal still explains what ran."""
    pod = accepted(secretive())
    redacted = redact_pod(pod)
    text = msgspec.json.encode(redacted).decode()
    left = [secret for secret in SECRETS if secret in text and secret != SECRETS[6]]
    assert left == []
    container = redacted.spec.containers[0]
    assert container.command == (
        "server", f"--password={REDACTED}", "--api-key", REDACTED, "--port=80", "--verbose"
    )  # fmt: skip
    assert [(one.name, one.value) for one in container.env] == [
        ("PASSWORD", REDACTED),
        ("EMPTY", ""),
        ("NODE", ""),
    ]
    assert redacted.metadata.annotations["note"] == "kept"
    assert redacted.metadata.uid == pod.metadata.uid
    assert redact_pod(redacted) == redacted


def test_annotations_and_volumes_that_nobody_mounts_lose_what_looks_like_a_secret() -> None:
    volumes = [
        {"name": "g", "gitRepo": {"repository": "https://user:S3CRET@git.example/x.git"}},
        {"name": "f", "flexVolume": {"driver": "a/x", "options": {"password": "S3CRET", "fsck": "yes"}}},
        {"name": "c", "csi": {"driver": "x", "volumeAttributes": {"list": ["--token=S3CRET"]}}},
    ]
    pod = accepted(changed("spec.volumes", volumes))
    notes = {"x.example/password": "S3CRET", "x.example/url": "https://u:S3CRET@h/", "note": "kept"}
    pod = replace(pod, metadata=replace(pod.metadata, annotations=notes))
    redacted = redact_pod(pod)
    assert "S3CRET" not in repr(redacted)
    assert redacted.metadata.annotations["note"] == "kept"
    flex = redacted.spec.volumes[1].flex_volume
    assert flex is not None
    assert flex["options"] == {"password": REDACTED, "fsck": "yes"}
    assert "S3CRET" in secret_values(pod)


def test_a_pod_without_secrets_is_left_as_it_is() -> None:
    assert redact_pod(accepted(small_pod())) == accepted(small_pod())


def test_an_engines_message_loses_the_values_of_its_pod() -> None:
    """Engines quote environment and command lines when they fail."""
    values = secret_values(accepted(secretive()))
    message = f"cannot start [PASSWORD={SECRETS[2]} --api-key {SECRETS[4]}] at {SECRETS[11]}: no such file"
    assert redact_text(message, values) == (
        f"cannot start [PASSWORD={REDACTED} --api-key {REDACTED}] at {REDACTED}: no such file"
    )
    assert list(values) == sorted(values, key=lambda one: (-len(one), one))


def test_longer_values_go_first_and_short_ones_stay() -> None:
    """`abcd` inside `abcdefgh` leaves no tail behind; `1` is no secret and would take the sense away."""
    env = [{"name": "A", "value": "abcd"}, {"name": "B", "value": "abcdefgh"}, {"name": "C", "value": "1"}]
    values = secret_values(accepted(changed("spec.containers.0.env", env)))
    assert values == ("abcdefgh", "abcd")
    assert redact_text("abcdefgh abcd 1", values) == f"{REDACTED} {REDACTED} 1"


def test_what_looks_like_a_secret_goes_without_its_value_being_known() -> None:
    """By name, by place in a URL, by the scheme of a header."""
    text = (
        "https://user:pw@host/x PGPASSWORD=abc token: 'a b' secret=\"c d\"; Authorization: Bearer abcdefgh12"
    )
    redacted = redact_text(text)
    for secret in ("pw@", "abc", "a b", "c d", "abcdefgh12"):
        assert secret not in redacted
    kept = "image nginx:1.27 from https://registry.example/v2/ as author: me in /var/run/secrets/x took 5s"
    assert redact_text(kept) == kept


@given(some.text(max_size=200), some.lists(some.text(min_size=4, max_size=8), max_size=3))
def test_no_text_makes_it_raise_and_no_given_value_stays(text: str, values: list[str]) -> None:
    """Whatever surrounds a value."""
    longest = sorted(values, key=len, reverse=True)
    redacted = redact_text(text + "".join(values), longest)
    assert all(value not in redacted.replace(REDACTED, "\0") for value in values)


def test_long_hostile_texts_are_read_in_one_pass() -> None:
    """Patterns that search again from every place would not come to an end here."""
    for text in (
        "password" * 100_000 + "!",
        "a" * 1_000_000,
        "://" * 300_000,
        "token = " * 100_000,
        "bearer " * 99_999,
    ):
        assert isinstance(redact_text(text), str)
