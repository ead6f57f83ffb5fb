"""Names of a pod on the network: host name, domain, resolv.conf, /etc/hosts.

Follows upstream's kubelet_pods.go and network/dns/dns.go. May not be here: writing files into containers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from minikubelet.model.pod import Pod, PodDNSConfig
from minikubelet.ports.runtimeport import DnsConfig, RuntimeFault

_HOSTNAME_MAX: Final = 63
_FQDN_MAX: Final = 64
_SERVERS_MAX: Final = 3
_SEARCHES_MAX: Final = 32
_SEARCH_CHARS_MAX: Final = 2048
_SEARCH_MAX: Final = 253
_HOSTS_HEAD: Final = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
_HOSTS_HEAD_OF_NODE: Final = "# Kubernetes-managed hosts file (host network).\n"


def host_name(pod: Pod) -> str:
    """The pod's short host name."""
    spec = pod.spec
    name = spec.hostname_override or spec.hostname or pod.metadata.name
    return name if len(name) <= _HOSTNAME_MAX else name[:_HOSTNAME_MAX].rstrip("-.")


def host_domain(pod: Pod, cluster_domain: str) -> str:
    """The pod's domain, empty without `subdomain`."""
    if not pod.spec.subdomain or pod.spec.hostname_override:
        return ""
    return f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{cluster_domain}"


def sandbox_host_name(pod: Pod, cluster_domain: str) -> str:
    """What the kernel of the pod is told: the full name where `setHostnameAsFQDN` asks for it.

    Raises RuntimeFault for a full name that the kernel does not take.
    """
    name, domain = host_name(pod), host_domain(pod, cluster_domain)
    if not pod.spec.set_hostname_as_fqdn or not domain or pod.spec.hostname_override:
        return name
    full = f"{name}.{domain}"
    if len(full) > _FQDN_MAX:
        raise RuntimeFault(
            "CreatePodSandboxConfigError",
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long"
            f" ({_FQDN_MAX} characters is the max, {len(full)} characters requested)",
        )
    return full


def hosts_file(pod: Pod, ips: Iterable[str], cluster_domain: str, *, of_node: str) -> str:
    """The text of /etc/hosts; `of_node` is the node's own, which pods on its network see."""
    if pod.spec.host_network:
        text = _HOSTS_HEAD_OF_NODE + of_node
    else:
        name, domain = host_name(pod), host_domain(pod, cluster_domain)
        names = f"{name}.{domain}\t{name}" if domain else name
        text = _HOSTS_HEAD + "".join(f"{ip}\t{names}\n" for ip in ips)
    if pod.spec.host_aliases:
        lines = ("\t".join((alias.ip, *alias.hostnames)) + "\n" for alias in pod.spec.host_aliases)
        text += "\n# Entries added by HostAliases.\n" + "".join(lines)
    return text


def dns_config(
    pod: Pod, *, cluster_dns: tuple[str, ...], cluster_domain: str, resolv_conf: str
) -> DnsConfig | None:
    """The content of the pod's resolv.conf; None where it is just the host's own.

    Raises RuntimeFault where the host's file (`resolv_conf`, empty for none) is needed and cannot be read.
    """
    spec = pod.spec
    if spec.dns_policy == "None":
        return _fitting(_with(DnsConfig(), spec.dns_config))
    on_cluster = spec.dns_policy == "ClusterFirstWithHostNet" or (
        spec.dns_policy != "Default" and not spec.host_network
    )
    if on_cluster and cluster_dns:
        own = _cluster_searches(pod, cluster_domain)
        config = DnsConfig(cluster_dns, (*own, *host_dns(resolv_conf).searches), ("ndots:5",))
    elif not resolv_conf:
        config = DnsConfig(("127.0.0.1",), (".",), ())
    elif spec.dns_config is None and resolv_conf == "/etc/resolv.conf":
        return None
    else:
        config = host_dns(resolv_conf)
    return _fitting(_with(config, spec.dns_config))


def _cluster_searches(pod: Pod, domain: str) -> tuple[str, ...]:
    return (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain) if domain else ()


def host_dns(path: str) -> DnsConfig:
    """What a resolv.conf says: all its servers, and the last of its searches and options."""
    if not path:
        return DnsConfig()
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RuntimeFault("CreatePodSandboxConfigError", f"resolvConf {path}: {error.strerror}") from error
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        match line.split():
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search", *names]:
                searches = tuple(name.removesuffix(".") or name for name in names)
            case ["options", *words]:
                options = tuple(words)
            case _:
                pass
    return DnsConfig(tuple(servers), searches, options)


def _with(config: DnsConfig, extra: PodDNSConfig | None) -> DnsConfig:
    """The pod's own lines added; of an option given twice, the pod's value holds."""
    if extra is None:
        return config
    options = dict.fromkeys(config.options)
    named = {option.partition(":")[0]: option for option in options}
    for own in extra.options:
        named[own.name] = f"{own.name}:{own.value}" if own.value else own.name
    return DnsConfig(
        (*config.servers, *extra.nameservers), (*config.searches, *extra.searches), tuple(named.values())
    )


def _fitting(config: DnsConfig) -> DnsConfig:
    """Without repetitions, and within what resolvers take."""
    searches = [s for s in dict.fromkeys(config.searches) if len(s) <= _SEARCH_MAX][:_SEARCHES_MAX]
    while len(" ".join(searches)) > _SEARCH_CHARS_MAX:
        searches.pop()
    servers = tuple(dict.fromkeys(config.servers))[:_SERVERS_MAX]
    return DnsConfig(servers, tuple(searches), config.options)
