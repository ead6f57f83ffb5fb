"""Requests made from pods: names, DNS, hosts, resources, security, as upstream's kubelet makes them."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import (
    AppArmorProfile,
    Capabilities,
    Container,
    ContainerPort,
    EmptyDirVolumeSource,
    EnvVar,
    HostAlias,
    ObjectMeta,
    Pod,
    PodDNSConfig,
    PodDNSConfigOption,
    PodSecurityContext,
    PodSpec,
    ResourceRequirements,
    SeccompProfile,
    SecurityContext,
    Sysctl,
    Volume,
    VolumeMount,
)
from minikubelet.ports.runtimeport import ContainerConfig, DnsConfig, PortMapping, RuntimeFault
from minikubelet.shell.podconfig import NodeSide, PodConfigMaker
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.volumes import Volumes
from tests.running import run

NODE = NodeSide(name="node-1", ips=("10.0.0.1",), cluster_domain="cluster.local", memory=1000 << 20)
WEB = Pod(
    metadata=ObjectMeta(name="web", namespace="shop", uid="u1", labels={"b": "2", "a": "1"}),
    spec=PodSpec(containers=(Container(name="main", image="busybox:1.36"),)),
)


def with_spec(**fields: object) -> Pod:
    """The pod with other fields in its specification."""
    return replace(WEB, spec=replace(WEB.spec, **fields))


def with_container(**fields: object) -> Pod:
    """The pod with other fields in its container."""
    return with_spec(containers=(replace(WEB.spec.containers[0], **fields),))


class Maker:
    """A maker on a directory of the test's own; `user` is the image's."""

    def __init__(self, directory: Path, node: NodeSide = NODE, user: str = "") -> None:
        self.paths = PodPaths(directory / "state", directory / "logs")
        self.user = user
        self.maker = PodConfigMaker(node, self.paths, Volumes(self.paths), image_user=self._user)

    async def _user(self, image: str) -> str:
        return self.user

    def container(self, pod: Pod, *ips: str) -> ContainerConfig:
        return run(self.maker.container(pod, "main", 0, ips))

    def dns(self, pod: Pod) -> DnsConfig | None:
        return self.maker.sandbox(pod, 0).dns


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "web"),
        ({"hostname": "other"}, "other"),
        ({"hostname": "other", "subdomain": "sub"}, "other"),
        (
            {"hostname": "h", "subdomain": "sub", "set_hostname_as_fqdn": True},
            "h.sub.shop.svc.cluster.local",
        ),
        ({"set_hostname_as_fqdn": True}, "web"),
        ({"hostname_override": "www.example.com", "hostname": "h", "subdomain": "s"}, "www.example.com"),
        ({"host_network": True, "hostname": "h"}, "node-1"),
    ],
)
def test_the_host_name(tmp_path: Path, fields: dict[str, object], name: str) -> None:
    assert Maker(tmp_path).maker.sandbox(with_spec(**fields), 0).hostname == name


def test_a_long_name_is_cut_to_what_a_host_name_may_be(tmp_path: Path) -> None:
    pod = replace(WEB, metadata=replace(WEB.metadata, name="a" * 62 + "-" + "b" * 20))
    assert Maker(tmp_path).maker.sandbox(pod, 0).hostname == "a" * 62


def test_a_full_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    pod = with_spec(hostname="h" * 60, subdomain="sub", set_hostname_as_fqdn=True)
    with pytest.raises(RuntimeFault, match=r"FQDN h+\.sub\.\S+ is too long \(64 characters is the max, 87"):
        Maker(tmp_path).maker.sandbox(pod, 0)


RESOLV = "nameserver 9.9.9.9\n# a word\nsearch old\nsearch example.com. lab\noptions ndots:2 edns0\n"


def maker_with_dns(directory: Path, *servers: str) -> Maker:
    (directory / "resolv.conf").write_text(RESOLV)
    node = replace(NODE, cluster_dns=servers, resolv_conf=str(directory / "resolv.conf"))
    return Maker(directory, node)


def test_cluster_first_has_the_clusters_server_and_the_hosts_searches(tmp_path: Path) -> None:
    maker = maker_with_dns(tmp_path, "10.96.0.10")
    expected = DnsConfig(
        ("10.96.0.10",),
        ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com", "lab"),
        ("ndots:5",),
    )
    assert maker.dns(with_spec(dns_policy="ClusterFirst")) == expected
    assert maker.dns(with_spec(dns_policy="ClusterFirstWithHostNet", host_network=True)) == expected


HOST = DnsConfig(("9.9.9.9",), ("example.com", "lab"), ("ndots:2", "edns0"))


@pytest.mark.parametrize(
    ("fields", "servers"),
    [
        ({"dns_policy": "Default"}, ("10.96.0.10",)),
        ({"dns_policy": "ClusterFirst", "host_network": True}, ("10.96.0.10",)),
        ({"dns_policy": "ClusterFirst"}, ()),
    ],
)
def test_otherwise_the_hosts_own_holds(
    tmp_path: Path, fields: dict[str, object], servers: tuple[str, ...]
) -> None:
    assert maker_with_dns(tmp_path, *servers).dns(with_spec(**fields)) == HOST


def test_a_dns_config_is_merged_and_policy_none_has_nothing_else(tmp_path: Path) -> None:
    options = (PodDNSConfigOption(name="ndots", value="1"), PodDNSConfigOption(name="rotate"))
    extra = PodDNSConfig(nameservers=("1.1.1.1", "9.9.9.9"), searches=("lab", "my"), options=options)
    maker = maker_with_dns(tmp_path)
    assert maker.dns(with_spec(dns_policy="None", dns_config=extra)) == DnsConfig(
        ("1.1.1.1", "9.9.9.9"), ("lab", "my"), ("ndots:1", "rotate")
    )
    assert maker.dns(with_spec(dns_policy="Default", dns_config=extra)) == DnsConfig(
        ("9.9.9.9", "1.1.1.1"), ("example.com", "lab", "my"), ("ndots:1", "edns0", "rotate")
    )


def test_dns_is_kept_within_what_resolvers_take(tmp_path: Path) -> None:
    extra = PodDNSConfig(
        nameservers=tuple(f"10.0.0.{n}" for n in range(9)),
        searches=("x" * 254, *(f"{n}.{'a' * 60}.{'b' * 60}" for n in range(40))),
    )
    found = Maker(tmp_path).dns(with_spec(dns_policy="None", dns_config=extra))
    assert found is not None
    assert len(found.servers) == 3
    assert len(" ".join(found.searches)) <= 2048
    assert found.searches[0].startswith("0.")


def test_a_resolv_conf_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    maker = Maker(tmp_path, replace(NODE, resolv_conf=str(tmp_path / "none")))
    with pytest.raises(RuntimeFault, match=r"resolvConf .*none: No such file"):
        maker.dns(WEB)


def test_ports_sysctls_and_labels_of_a_sandbox(tmp_path: Path) -> None:
    ports = (
        ContainerPort(container_port=80, host_port=8080, host_ip="127.0.0.1"),
        ContainerPort(container_port=1),
    )
    pod = with_container(ports=ports)
    context = PodSecurityContext(sysctls=(Sysctl(name="kernel/shm_rmid_forced", value="1"),))
    pod = replace(pod, spec=replace(pod.spec, security_context=context))
    sandbox = Maker(tmp_path).maker.sandbox(pod, 3)
    assert sandbox.ports == (PortMapping(80, 8080, "TCP", "127.0.0.1"),)
    assert sandbox.sysctls == (("kernel.shm_rmid_forced", "1"),)
    assert (sandbox.labels, sandbox.attempt) == ((("a", "1"), ("b", "2")), 3)
    on_host = replace(pod, spec=replace(pod.spec, host_network=True))
    assert Maker(tmp_path).maker.sandbox(on_host, 0).ports == ()


def hosts_of(maker: Maker, pod: Pod, *ips: str) -> str:
    mounts = [m for m in maker.container(pod, *ips).mounts if m.container_path == "/etc/hosts"]
    return mounts[0].host_path.read_text() if mounts else ""


def test_the_hosts_file_is_the_agents_with_names_and_aliases(tmp_path: Path) -> None:
    maker = Maker(tmp_path, replace(NODE, writes_hosts=True))
    aliases = (HostAlias(ip="1.2.3.4", hostnames=("a", "b")),)
    text = hosts_of(maker, with_spec(subdomain="sub", host_aliases=aliases), "172.17.0.2", "fd00::2")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "172.17.0.2\tweb.sub.shop.svc.cluster.local\tweb\nfd00::2\tweb.sub" in text
    assert text.endswith("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")


def test_the_hosts_file_of_the_hosts_network_has_the_hosts_lines(tmp_path: Path) -> None:
    maker = Maker(tmp_path, replace(NODE, writes_hosts=True))
    text = hosts_of(maker, with_spec(host_network=True))
    assert text.startswith("# Kubernetes-managed hosts file (host network).\n")
    assert Path("/etc/hosts").read_text(errors="replace") in text


def test_a_container_with_a_hosts_file_of_its_own_keeps_it(tmp_path: Path) -> None:
    maker = Maker(tmp_path, replace(NODE, writes_hosts=True))
    pod = with_container(volume_mounts=(VolumeMount(name="v", mount_path="/etc/hosts"),))
    pod = replace(pod, spec=replace(pod.spec, volumes=(Volume(name="v", empty_dir=EmptyDirVolumeSource()),)))
    (mount,) = maker.container(pod, "172.17.0.2").mounts
    assert mount.host_path.name == "v"
    assert hosts_of(Maker(tmp_path), WEB, "172.17.0.2") == ""


def test_an_agent_that_does_not_know_the_address_any_more_keeps_the_file(tmp_path: Path) -> None:
    node = replace(NODE, writes_hosts=True)
    first = hosts_of(Maker(tmp_path, node), WEB, "172.17.0.2")
    assert hosts_of(Maker(tmp_path, node), WEB) == first


@pytest.mark.parametrize(
    ("limits", "requests", "expected"),
    [
        ({}, {}, (2, 0, 0, 0, 1000)),
        ({"cpu": "500m", "memory": "100Mi"}, {}, (512, 50_000, 100_000, 100 << 20, -997)),
        ({"cpu": "1m"}, {"cpu": "1m"}, (2, 1000, 100_000, 0, 999)),
        ({}, {"cpu": "1500m", "memory": "400Mi"}, (1536, 0, 0, 0, 600)),
        ({"cpu": "1e30"}, {"cpu": "1m"}, (2, 2**44 - 1, 100_000, 0, 999)),
        ({}, {"memory": "1000Mi"}, (2, 0, 0, 0, 3)),
        ({}, {"cpu": "1000"}, (262_144, 0, 0, 0, 999)),
    ],
)
def test_resources_and_oom_scores(
    tmp_path: Path, limits: dict[str, str], requests: dict[str, str], expected: tuple[int, ...]
) -> None:
    pod = with_container(resources=ResourceRequirements(limits=limits, requests=requests))
    found = Maker(tmp_path).container(pod).resources
    assert expected == (
        found.cpu_shares, found.cpu_quota, found.cpu_period, found.memory_limit, found.oom_score_adj,
    )  # fmt: skip


def test_a_node_critical_pod_is_killed_last(tmp_path: Path) -> None:
    pod = with_spec(priority_class_name="system-node-critical")
    assert Maker(tmp_path).container(pod).resources.oom_score_adj == -997


def test_the_containers_security_context_before_the_pods(tmp_path: Path) -> None:
    whole = PodSecurityContext(
        run_as_user=1, run_as_group=2, fs_group=3, supplemental_groups=(4, 3), run_as_non_root=True,
        seccomp_profile=SeccompProfile(type="RuntimeDefault"),
        app_armor_profile=AppArmorProfile(type="Localhost", localhost_profile="mine"),
    )  # fmt: skip
    own = SecurityContext(
        run_as_user=9, privileged=True, read_only_root_filesystem=True, allow_privilege_escalation=False,
        capabilities=Capabilities(add=("NET_ADMIN",), drop=("ALL",)),
    )  # fmt: skip
    pod = with_container(security_context=own)
    found = Maker(tmp_path).container(replace(pod, spec=replace(pod.spec, security_context=whole))).security
    assert (found.run_as_user, found.run_as_group, found.supplemental_groups) == (9, 2, (3, 4))
    assert (found.privileged, found.read_only_root, found.no_new_privileges) == (True, True, True)
    assert (found.add_capabilities, found.drop_capabilities) == (("NET_ADMIN",), ("ALL",))
    assert (found.seccomp, found.apparmor) == ("RuntimeDefault", "localhost/mine")


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (None, "Unconfined"),
        (SeccompProfile(type="Unconfined"), "Unconfined"),
        (SeccompProfile(type="Localhost", localhost_profile="p/a.json"), "state/seccomp/p/a.json"),
    ],
)
def test_seccomp_profiles(tmp_path: Path, profile: SeccompProfile | None, expected: str) -> None:
    pod = with_container(security_context=SecurityContext(seccomp_profile=profile))
    assert Maker(tmp_path).container(pod).security.seccomp.endswith(expected)


def test_a_profile_outside_of_the_directory_is_refused(tmp_path: Path) -> None:
    profile = SeccompProfile(type="Localhost", localhost_profile="../../etc/passwd")
    with pytest.raises(RuntimeFault, match="must be a path beneath the seccomp directory"):
        Maker(tmp_path).container(with_container(security_context=SecurityContext(seccomp_profile=profile)))


@pytest.mark.parametrize(
    ("user", "run_as", "message"),
    [
        ("", None, "container has runAsNonRoot and image will run as root"),
        ("0:0", None, "container has runAsNonRoot and image will run as root"),
        ("www", None, "image has non-numeric user (www), cannot verify user is non-root"),
        ("", 0, "container's runAsUser breaks non-root policy"),
        ("1000", None, ""),
        ("", 1000, ""),
    ],
)
def test_run_as_non_root_is_verified(tmp_path: Path, user: str, run_as: int | None, message: str) -> None:
    pod = with_container(security_context=SecurityContext(run_as_non_root=True, run_as_user=run_as))
    maker = Maker(tmp_path, user=user)
    if not message:
        assert maker.container(pod).security.run_as_non_root
        return
    with pytest.raises(RuntimeFault) as caught:
        maker.container(pod)
    assert caught.value.reason == "CreateContainerConfigError"
    assert message in caught.value.message
    assert '(pod: "web_shop(u1)", container: main)' in caught.value.message


def test_commands_are_expanded_and_the_file_for_the_last_message_is_made(tmp_path: Path) -> None:
    env = (EnvVar(name="HOME_DIR", value="/h"),)
    pod = with_container(command=("sh", "-c", "$(HOME_DIR) $$(X) $(NONE)"), env=env)
    maker = Maker(tmp_path)
    config = maker.container(pod)
    assert config.command == ("sh", "-c", "/h $(X) $(NONE)")
    assert config.termination_log == maker.paths.termination_log(PodUid("u1"), "main", 0)
    assert config.termination_log.stat().st_mode & 0o777 == 0o666
