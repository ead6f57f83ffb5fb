"""How the node agent talks to an API server: kubeconfig, credentials, TLS, requests, list and watch."""
