"""Protobuf bodies: what kubectl sends is read, and nothing else gets through or breaks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.stubapi.stubprotobuf import read_protobuf
from minikubelet.stubapi.stubstatus import ApiError


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value % 2**64)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _envelope(kind: str, raw: bytes) -> bytes:
    kind_field = _field(1, _field(1, "v1") + _field(2, kind))
    return b"k8s\x00" + kind_field + _field(2, raw) + _field(3, "") + _field(4, "")


NAMES = st.text("abc-", min_size=1, max_size=5)


@given(NAMES, st.dictionaries(NAMES, st.text(max_size=300), max_size=4), st.booleans())
def test_a_config_map_is_read_as_it_was_written(name: str, data: dict[str, str], fixed: bool) -> None:
    raw = _field(1, _field(1, name) + _field(2, "") + _field(8, b""))
    raw += b"".join(_field(2, _field(1, key) + _field(2, value)) for key, value in data.items())
    raw += _field(4, int(fixed))
    wanted: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    wanted |= {"immutable": fixed} | ({"data": data} if data else {})
    assert read_protobuf(_envelope("ConfigMap", raw)) == wanted


@given(st.integers(-(2**63), 2**63 - 1))
def test_delete_options_keep_their_grace_and_preconditions(grace: int) -> None:
    raw = _field(1, grace) + _field(2, _field(1, "u")) + _field(5, "All")
    assert read_protobuf(_envelope("DeleteOptions", raw)) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": grace,
        "preconditions": {"uid": "u"},
        "dryRun": ["All"],
    }


KINDS = ["Namespace", "Secret", "ServiceAccount", "DeleteOptions", "CertificateSigningRequest", "RoleBinding"]


def test_a_verdict_on_a_certificate_is_read_with_its_times() -> None:
    at = _field(1, 1767323045)
    condition = _field(1, "Approved") + _field(6, "True") + _field(2, "r") + _field(4, at)
    spec = _field(1, b"pem") + _field(7, "a.b/c") + _field(5, "client auth")
    raw = _field(1, _field(1, "x")) + _field(2, spec) + _field(3, _field(1, condition))
    found = read_protobuf(_envelope("CertificateSigningRequest", raw))
    assert found["spec"] == {"request": "cGVt", "signerName": "a.b/c", "usages": ["client auth"]}
    assert found["status"]["conditions"] == [
        {"type": "Approved", "status": "True", "reason": "r", "lastUpdateTime": "2026-01-02T03:04:05Z"}
    ]


@given(st.binary(max_size=60), st.sampled_from(KINDS))
def test_no_bytes_break_the_reader(raw: bytes, kind: str) -> None:
    outcome: Any
    for content in (raw, b"k8s\x00" + raw, _envelope(kind, raw)):
        try:
            outcome = read_protobuf(content)["kind"]
        except ApiError as problem:
            outcome = problem.code
        assert outcome in (kind, 400)


def test_a_kind_that_is_only_read_as_json_is_named() -> None:
    with pytest.raises(ApiError, match="Pod is not read as protobuf"):
        read_protobuf(_envelope("Pod", b""))
