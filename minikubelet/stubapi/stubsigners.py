"""What a request for a certificate has to look like: for the API, and for each signer.

Pure; reads and judges requests. Follows upstream's pkg/apis/certificates: helpers.go and validation.go.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from minikubelet.stubapi.stubnames import is_subdomain
from minikubelet.stubapi.stubstatus import Cause

if TYPE_CHECKING:
    from minikubelet.stubapi.stubresources import Obj

CLIENT: Final = "kubernetes.io/kube-apiserver-client"
CLIENT_KUBELET: Final = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING: Final = "kubernetes.io/kubelet-serving"
SIGNERS: Final = (CLIENT, CLIENT_KUBELET, SERVING)
"""those that this server has; a request to another waits for whoever signs for that"""
NODES: Final = "system:nodes"
NODE_PREFIX: Final = "system:node:"
_LEAST_SECONDS: Final = 600
_USAGES: Final = frozenset(
    {"signing", "digital signature", "content commitment", "key encipherment", "key agreement"}
    | {"data encipherment", "cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth"}
    | {"client auth", "code signing", "email protection", "s/mime", "ipsec end system", "ipsec tunnel"}
    | {"ipsec user", "timestamping", "ocsp signing", "microsoft sgc", "netscape sgc"}
)
_VERDICTS: Final = ("Approved", "Denied")
_PLAIN: Final = frozenset({"digital signature", "key encipherment"})


def parse_request(spec: Obj) -> x509.CertificateSigningRequest | None:
    """The request in PEM, None for what is none or not signed with its own key."""
    try:
        parsed = x509.load_pem_x509_csr(base64.b64decode(str(spec.get("request") or ""), validate=True))
    except (ValueError, TypeError):
        return None
    return parsed if parsed.is_signature_valid else None


def usages_of(spec: Obj) -> frozenset[str]:
    """What the certificate is to be used for."""
    return frozenset(str(each) for each in spec.get("usages") or ())


def check_request(spec: Obj) -> list[Cause]:
    """What is wrong with a new request."""
    causes = []
    if parse_request(spec) is None:
        text = "Invalid value: PEM block type must be CERTIFICATE REQUEST, signed with its own key"
        causes.append(Cause("spec.request", text))
    domain, slash, path = str(spec.get("signerName") or "").partition("/")
    if not slash or not path or not is_subdomain(domain) or "." not in domain:
        text = (
            "Invalid value: must be a fully qualified domain and path of the form 'example.com/signer-name'"
        )
        causes.append(Cause("spec.signerName", text))
    usages = usages_of(spec)
    if not usages:
        causes.append(Cause("spec.usages", "Required value", "FieldValueRequired"))
    causes += [
        Cause("spec.usages", f'Unsupported value: "{usage}"', "FieldValueNotSupported")
        for usage in sorted(usages - _USAGES)
    ]
    seconds = spec.get("expirationSeconds")
    if seconds is not None and (not isinstance(seconds, int) or seconds < _LEAST_SECONDS):
        text = f"Invalid value: {seconds}: may not specify a duration less than 600 seconds (10 minutes)"
        causes.append(Cause("spec.expirationSeconds", text))
    return causes


def settled(obj: Obj, old: Obj, subresource: str) -> Obj:
    """A changed request: what was asked for stays; each sub-resource changes its part of the status."""
    given, kept = obj.get("status") or {}, old.get("status") or {}
    conditions = list(kept.get("conditions") or ())
    if subresource == "approval":
        kept = {**kept, "conditions": list(given.get("conditions") or ())}
    elif subresource == "status":
        verdicts = [each for each in conditions if each.get("type") in _VERDICTS]
        others = [each for each in given.get("conditions") or () if each.get("type") not in _VERDICTS]
        kept = {**given, "conditions": [*verdicts, *others]}
    return {**old, "metadata": obj["metadata"], "status": kept}


def refusal(signer: str, request: x509.CertificateSigningRequest, usages: frozenset[str]) -> str:
    """Why a signer does not sign a request; empty if it does."""
    if signer == CLIENT:
        return "" if "client auth" in usages else "usages did not contain client auth"
    organisations = [each.value for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if organisations != [NODES]:
        return "subject organization is not system:nodes"
    if len(names) != 1 or not names[0].startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    alternatives = _alternatives(request)
    wanted = "client auth" if signer == CLIENT_KUBELET else "server auth"
    if wanted not in usages or not usages - {wanted} <= _PLAIN or "digital signature" not in usages:
        return f"usages did not match [digital signature, {wanted}] or those with key encipherment"
    if signer == CLIENT_KUBELET:
        return "DNS, IP, email and URI subject alternative names are not allowed" if alternatives else ""
    if not alternatives:
        return "at least one DNS or IP subjectAltName is required"
    only_hosts = all(isinstance(each, (x509.DNSName, x509.IPAddress)) for each in alternatives)
    return "" if only_hosts else "email and URI subject alternative names are not allowed"


def _alternatives(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, ValueError):
        return []
