"""Names, addresses and ports: /etc/hosts, resolv.conf, host names, host ports."""

import urllib.request

import pytest

from tests.conformance.conformance_world import STAYS, Seen, fields, pod, runs

pytestmark = [pytest.mark.e2e, pytest.mark.docker]


@pod(runs("cat /etc/hosts", hostAliases=[{"ip": "123.45.67.89", "hostnames": ["foo", "bar"]}]))
@fields("PodSpec.hostAliases", "HostAlias.ip", "HostAlias.hostnames")
def test_host_aliases_are_lines_of_the_hosts_file_that_the_agent_makes(ended: Seen) -> None:
    assert ended.log().startswith("# Kubernetes-managed hosts file.\n")
    assert "123.45.67.89\tfoo\tbar\n" in ended.log()
    assert f"{ended.status['podIP']}\t{ended.name}\n" in ended.log()


OWN_HOSTS = {"name": "v", "mountPath": "/etc/hosts", "subPath": "own"}
OWN_NAME = {"path": "own", "fieldRef": {"fieldPath": "metadata.name"}}


@pod(runs("cat /etc/hosts", main={"volumeMounts": [OWN_HOSTS]},
          volumes=[{"name": "v", "downwardAPI": {"items": [OWN_NAME]}}]))  # fmt: skip
def test_a_hosts_file_of_its_own_is_left_alone(ended: Seen) -> None:
    assert ended.log() == ended.name


@pod(runs("cat /etc/hosts", hostNetwork=True))
@fields("PodSpec.hostNetwork")
def test_on_the_hosts_network_the_hosts_file_is_the_hosts(ended: Seen) -> None:
    assert "localhost" in ended.log()
    assert ended.log().startswith("# Kubernetes-managed hosts file (host network).\n")


@pod(runs("cat /etc/resolv.conf", dnsPolicy="None", dnsConfig={
    "nameservers": ["1.1.1.1"], "searches": ["resolv.conf.local"],
    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
}))  # fmt: skip
@fields("PodSpec.dnsPolicy", "PodSpec.dnsConfig", "PodDNSConfig.nameservers", "PodDNSConfig.searches",
        "PodDNSConfig.options", "PodDNSConfigOption.name", "PodDNSConfigOption.value")  # fmt: skip
def test_a_resolver_of_the_pods_own(ended: Seen) -> None:
    lines = set(ended.log().splitlines())
    assert {"nameserver 1.1.1.1", "search resolv.conf.local", "options ndots:2 edns0"} <= lines


@pod(runs("cat /etc/resolv.conf"))
@fields("PodSpec.dnsPolicy")
def test_the_clusters_resolver_is_the_default(ended: Seen) -> None:
    assert "nameserver 10.96.0.10" in ended.log().splitlines()
    assert "search default.svc.cluster.local svc.cluster.local cluster.local" in ended.log()
    assert "ndots:5" in ended.log()


@pod(runs("cat /etc/resolv.conf", hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"))
@fields("PodSpec.dnsPolicy")
def test_the_clusters_resolver_on_the_hosts_network(ended: Seen) -> None:
    assert "nameserver 10.96.0.10" in ended.log().splitlines()


@pod(runs("cat /etc/resolv.conf", dnsPolicy="Default"))
@fields("PodSpec.dnsPolicy")
def test_the_hosts_resolver(ended: Seen) -> None:
    with open("/etc/resolv.conf", encoding="utf-8") as file:  # noqa: PTH123 - one line of the host's
        own = {line for line in file.read().splitlines() if line.startswith("nameserver")}
    assert own <= set(ended.log().splitlines())


@pod(runs("hostname; hostname -f", hostname="custom", subdomain="sub"))
@fields("PodSpec.hostname", "PodSpec.subdomain")
def test_a_host_name_and_a_subdomain(ended: Seen) -> None:
    assert ended.log() == "custom\ncustom.sub.default.svc.cluster.local\n"


@pod(runs("hostname", hostname="custom", subdomain="sub", setHostnameAsFQDN=True))
@fields("PodSpec.setHostnameAsFQDN")
def test_the_full_name_as_host_name(ended: Seen) -> None:
    assert ended.log() == "custom.sub.default.svc.cluster.local\n"


@pod(runs("hostname", hostnameOverride="any.name.at-all"))
@fields("PodSpec.hostnameOverride")
def test_a_host_name_that_goes_before_all_others(ended: Seen) -> None:
    assert ended.log() == "any.name.at-all\n"


@pod(runs("hostname"))
def test_by_default_the_host_name_is_the_pods(ended: Seen) -> None:
    assert ended.log() == f"{ended.name}\n"


@pod(runs(f"mkdir /w; echo served > /w/index.html; httpd -p 8080 -h /w; {STAYS}", main={"ports": [
    {"name": "http", "containerPort": 8080, "hostPort": 38471, "hostIP": "127.0.0.1", "protocol": "TCP"},
]}))  # fmt: skip
@fields("Container.ports", "ContainerPort.containerPort", "ContainerPort.hostPort", "ContainerPort.hostIP",
        "ContainerPort.protocol")  # fmt: skip
def test_a_port_of_the_host_leads_to_the_container(running: Seen) -> None:
    def served() -> str | None:
        try:
            with urllib.request.urlopen("http://127.0.0.1:38471/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    assert running.cluster.agent.until(served, "the port to answer") == "served\n"
    running.cluster.delete("pods", running.name, grace=0)


@pod(runs(STAYS, others=[{"name": "other", "image": "busybox:1.36", "command": ["sh", "-c", STAYS]}]))
def test_containers_of_a_pod_have_one_address_and_one_set_of_semaphores(running: Seen) -> None:
    script = "readlink /proc/self/ns/net /proc/self/ns/ipc"
    assert running.says(script, "main") == running.says(script, "other")
    assert [ip["ip"] for ip in running.status["podIPs"]] == [running.status["podIP"]]
    running.cluster.delete("pods", running.name, grace=0)
