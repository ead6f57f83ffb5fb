"""Requests for certificates, as clients make them."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"


class Asked:
    """A key with what is asked for it."""

    def __init__(self, name: str = "system:node:n1", group: str = "system:nodes", *hosts: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        parts += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(parts))
        if hosts:
            named = [_host(each) for each in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(named), critical=False)
        self.pem = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def object(self, name: str = "csr", signer: str = CLIENT, **spec: Any) -> dict[str, Any]:
        usage = "server auth" if signer == SERVING else "client auth"
        spec = {"usages": ["digital signature", usage], **spec}
        request = base64.b64encode(self.pem).decode()
        return {"metadata": {"name": name}, "spec": {"request": request, "signerName": signer, **spec}}

    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
