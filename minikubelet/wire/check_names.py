"""Rules for names: DNS labels and subdomains, label keys and values, variables, ports, paths.

Belongs here: functions from a text to what is wrong with it, None if nothing is. The rules are those of
apimachinery's `util/validation`; the sentences are ours.
"""

from __future__ import annotations

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*", re.ASCII)
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_ENV_NAME = re.compile(r"[ -<>-~]+", re.ASCII)
_PORT_NAME = re.compile(r"[a-z0-9](-?[a-z0-9])*", re.ASCII)
_SYSCTL = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?", re.ASCII)
_MAX_LABEL = 63
_MAX_SUBDOMAIN = 253
_MAX_PORT_NAME = 15


def dns_label(text: str) -> str | None:
    """RFC 1123 label: a namespace, a container's or a volume's name, a hostname."""
    if len(text) > _MAX_LABEL:
        return f"must be no more than {_MAX_LABEL} characters"
    if _LABEL.fullmatch(text) is None:
        return "must be lower case letters, digits and '-', and begin and end with a letter or digit"
    return None


def dns_subdomain(text: str) -> str | None:
    """RFC 1123 subdomain: the name of a pod and of most objects."""
    if len(text) > _MAX_SUBDOMAIN:
        return f"must be no more than {_MAX_SUBDOMAIN} characters"
    if _SUBDOMAIN.fullmatch(text) is None:
        return (
            "must be lower case letters, digits, '-' and '.'; its parts begin and end with a letter or digit"
        )
    return None


def qualified_name(text: str) -> str | None:
    """Key of a label, an annotation or a resource: `name` or `prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    if slash:
        wrong = "must not be empty" if not prefix else dns_subdomain(prefix)
        if wrong:
            return f"the part before '/' {wrong}"
    if not name or len(name) > _MAX_LABEL:
        return f"the name must have 1 to {_MAX_LABEL} characters"
    if _QUALIFIED.fullmatch(name) is None:
        return "the name must be letters, digits, '-', '_' and '.', and begin and end with a letter or digit"
    return None


def label_value(text: str) -> str | None:
    """Value of a label: may be empty."""
    if len(text) > _MAX_LABEL:
        return f"must be no more than {_MAX_LABEL} characters"
    if text and _QUALIFIED.fullmatch(text) is None:
        return "must be letters, digits, '-', '_' and '.', and begin and end with a letter or digit"
    return None


def env_name(text: str) -> str | None:
    """Name of a variable: any printable ASCII but `=`."""
    return None if _ENV_NAME.fullmatch(text) else "must be printable ASCII characters other than '='"


def port_name(text: str) -> str | None:
    """Name of a port (RFC 6335)."""
    if len(text) > _MAX_PORT_NAME:
        return f"must be no more than {_MAX_PORT_NAME} characters"
    if _PORT_NAME.fullmatch(text) is None:
        return "must be lower case letters, digits and single '-' between them"
    if not re.search("[a-z]", text):
        return "must contain at least one letter"
    return None


def port_number(number: int) -> str | None:
    """A port that can be listened on."""
    return None if 0 < number < 1 << 16 else "must be between 1 and 65535"


def ip_address(text: str) -> str | None:
    """An IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "must be an IPv4 or IPv6 address"
    return None


def sysctl_name(text: str) -> str | None:
    """Name of a kernel parameter, parts divided by `.` or `/`."""
    parts = re.split(r"[./]", text)
    if len(text) > _MAX_SUBDOMAIN or not all(_SYSCTL.fullmatch(part) for part in parts):
        return "must be lower case words with '-' and '_', divided by '.'"
    return None


def no_backsteps(path: str) -> str | None:
    """A path that does not climb."""
    return "must not contain '..'" if ".." in path.split("/") else None


def local_path(path: str) -> str | None:
    """A path inside something: relative, and not climbing out."""
    return "must be a relative path" if path.startswith("/") else no_backsteps(path)
