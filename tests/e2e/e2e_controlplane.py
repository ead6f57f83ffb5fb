"""A control plane in the shape in which bootstrap tools write its manifests, with busybox for its programs.

Belongs here: the manifests and a TLS server for their probes. May not be here: assertions.
"""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.e2e_manifests import STAYS

API_SERVER = """
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 127.0.0.1:{tls}
  labels: {{component: kube-apiserver, tier: control-plane}}
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command: [sh, -c, "{stays}"]
    image: busybox:1.36
    imagePullPolicy: IfNotPresent
    name: kube-apiserver
    ports:
    - {{containerPort: {tls}, name: probe-port, protocol: TCP}}
    startupProbe:
      httpGet: {{host: 127.0.0.1, path: /livez, port: probe-port, scheme: HTTPS}}
      failureThreshold: 24
      initialDelaySeconds: 0
      periodSeconds: 1
      timeoutSeconds: 15
    livenessProbe:
      httpGet: {{host: 127.0.0.1, path: /livez, port: probe-port, scheme: HTTPS}}
      failureThreshold: 8
      periodSeconds: 1
      timeoutSeconds: 15
    readinessProbe:
      httpGet: {{host: 127.0.0.1, path: /readyz, port: probe-port, scheme: HTTPS}}
      failureThreshold: 3
      periodSeconds: 1
      timeoutSeconds: 15
    resources:
      requests: {{cpu: 25m}}
    volumeMounts:
    - {{mountPath: /etc/kubernetes/pki, name: k8s-certs, readOnly: true}}
    - {{mountPath: /etc/kubernetes/admin.conf, name: kubeconfig, readOnly: true}}
  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
  securityContext:
    seccompProfile: {{type: RuntimeDefault}}
  volumes:
  - hostPath: {{path: {host}/pki, type: DirectoryOrCreate}}
    name: k8s-certs
  - hostPath: {{path: {host}/admin.conf, type: FileOrCreate}}
    name: kubeconfig
status: {{}}
"""

ETCD = """
apiVersion: v1
kind: Pod
metadata:
  labels: {{component: etcd, tier: control-plane}}
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - sh
    - -c
    - >-
      mkdir -p /tmp/w && echo ok > /tmp/w/health && echo kept > /var/lib/etcd/member &&
      exec httpd -f -p 127.0.0.1:{http} -h /tmp/w
    image: busybox:1.36
    imagePullPolicy: IfNotPresent
    name: etcd
    ports:
    - {{containerPort: {http}, name: probe-port, protocol: TCP}}
    startupProbe:
      httpGet: {{host: 127.0.0.1, path: /health, port: probe-port, scheme: HTTP}}
      failureThreshold: 24
      periodSeconds: 1
      timeoutSeconds: 15
    livenessProbe:
      httpGet: {{host: 127.0.0.1, path: /health, port: probe-port, scheme: HTTP}}
      failureThreshold: 8
      periodSeconds: 1
      timeoutSeconds: 15
    resources:
      requests: {{cpu: 10m, memory: 10Mi}}
    volumeMounts:
    - {{mountPath: /var/lib/etcd, name: etcd-data}}
  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
  securityContext:
    seccompProfile: {{type: RuntimeDefault}}
  volumes:
  - hostPath: {{path: {host}/etcd, type: DirectoryOrCreate}}
    name: etcd-data
status: {{}}
"""


def manifests(host: Path, *, tls: int, http_port: int) -> dict[str, str]:
    """File names and contents; `host` is where the host paths lie, the ports are where probes ask."""
    made = {"kube-apiserver.yaml": API_SERVER, "etcd.yaml": ETCD}
    return {name: text.format(host=host, tls=tls, http=http_port, stays=STAYS) for name, text in made.items()}


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate and its key, made by openssl."""
    certificate, key = directory / "tls.crt", directory / "tls.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=nobody", "-days", "2", "-keyout", str(key), "-out", str(certificate),
        ],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return certificate, key


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def tls_server(certificate: Path, key: Path) -> Iterator[int]:
    """Answers every GET over TLS on loopback with a certificate that nobody knows; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
