"""A container's own restart policy and rules decide over its restarts, and over the end of its pod."""

import pytest

from minikubelet.core.behaviours import Behaviour, Behaviours
from minikubelet.core.restarts import will_restart
from minikubelet.core.state import Generation, Stage, record_of
from minikubelet.model.pod import Container, ContainerRestartRule, ContainerRestartRuleOnExitCodes
from tests.core.core_world import World, container, sidecar, static_pod

OWN: Behaviours = (Behaviour.CONTAINER_RESTARTS,)


def rule(operator: str, *codes: int, action: str = "Restart") -> ContainerRestartRule:
    exits = ContainerRestartRuleOnExitCodes(operator=operator, values=codes)
    return ContainerRestartRule(action=action, exit_codes=exits)


def ruled(policy: str, *rules: ContainerRestartRule, name: str = "web") -> Container:
    return container(name, restart_policy=policy, restart_policy_rules=rules)


def world_of(*mains: Container, policy: str, init: tuple[Container, ...] = (), then: bool = False) -> World:
    world = World(node={"behaviours": () if then else OWN})
    world.offer(static_pod(*mains, init=init, restart_policy=policy))
    world.run_until_idle()
    return world


def generation_after(world: World, name: str, code: int) -> Generation:
    world.exit(name, code)
    world.run_until_idle()
    return world.generation()


@pytest.mark.parametrize("pods", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize(
    ("own", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_a_containers_own_policy_goes_before_its_pods(pods: str, own: str, code: int, *, again: bool) -> None:
    world = world_of(ruled(own), policy=pods)
    assert (generation_after(world, "web", code).stage is Stage.FINISHED) is not again
    assert (len(world.started()) == 2) is again
    if not again:
        assert world.status().phase == ("Failed" if code else "Succeeded")


@pytest.mark.parametrize(
    ("rules", "code", "again"),
    [
        ((rule("In", 42),), 42, True),
        ((rule("In", 42),), 1, False),
        ((rule("In", 1, 42),), 42, True),
        ((rule("In"),), 0, False),
        ((rule("NotIn", 0, 1),), 2, True),
        ((rule("NotIn", 0, 1),), 1, False),
        ((rule("NotIn"),), 0, True),
        ((rule("In", 7), rule("In", 42)), 42, True),
        ((rule("In", 0),), 0, True),
        ((ContainerRestartRule(action="Restart"),), 1, False),
        ((rule("In", 42, action="RestartAllContainers"),), 42, False),
        ((rule("In", 42, action="RestartAllContainers"), rule("In", 42)), 42, False),
        ((rule("In", 42), rule("In", 42, action="RestartAllContainers")), 42, True),
    ],
)
def test_the_first_rule_that_matches_the_exit_code_goes_before_the_policy(
    rules: tuple[ContainerRestartRule, ...], code: int, *, again: bool
) -> None:
    world = world_of(ruled("Never", *rules), policy="Always")
    assert (generation_after(world, "web", code).stage is Stage.FINISHED) is not again
    assert (len(world.started()) == 2) is again


def test_a_rule_that_matches_nothing_leaves_the_policy_to_decide() -> None:
    world = world_of(ruled("OnFailure", rule("In", 42)), policy="Never")
    assert generation_after(world, "web", 1).stage is Stage.ACTIVE
    assert world.started() == ["web", "web"]


def test_rules_without_an_own_policy_say_nothing() -> None:
    world = world_of(ruled("", rule("In", 42)), policy="Never")
    assert generation_after(world, "web", 42).stage is Stage.FINISHED


def test_restarts_by_a_rule_back_off_and_say_so() -> None:
    world = world_of(ruled("Never", rule("In", 42)), policy="Never")
    generation_after(world, "web", 42)
    world.exit("web", 42)
    waiting = world.shown().state.waiting
    assert waiting is not None
    assert waiting.reason == "CrashLoopBackOff"
    assert world.status().phase == "Running"


def test_a_container_that_stays_ended_does_not_end_the_pod_of_others() -> None:
    world = world_of(ruled("Never", name="job"), container("web"), policy="Always")
    assert generation_after(world, "job", 0).stage is Stage.ACTIVE
    assert world.status().phase == "Running"
    assert world.started() == ["job", "web"]
    generation_after(world, "web", 0)
    assert world.started() == ["job", "web", "web"]


@pytest.mark.parametrize(
    ("pods", "init", "code", "fails"),
    [
        ("Always", ruled("Never", name="one"), 1, True),
        ("Always", ruled("Never", rule("In", 42), name="one"), 1, True),
        ("Always", ruled("Never", rule("In", 42), name="one"), 42, False),
        ("Always", ruled("OnFailure", name="one"), 1, False),
        ("Never", ruled("OnFailure", name="one"), 1, False),
        ("Never", ruled("Never", name="one"), 1, True),
    ],
)
def test_a_failed_init_container_fails_the_pod_unless_it_comes_again(
    pods: str, init: Container, code: int, *, fails: bool
) -> None:
    world = world_of(container(), policy=pods, init=(init,))
    assert (generation_after(world, "one", code).stage is Stage.FINISHED) is fails
    assert (world.status().phase == "Failed") is fails
    assert "web" not in world.started()


def test_an_init_container_that_succeeds_is_done_whatever_its_rules_say() -> None:
    world = world_of(container(), policy="Never", init=(ruled("Never", rule("In", 0), name="one"),))
    generation_after(world, "one", 0)
    assert world.started() == ["one", "web"]


def test_a_sidecar_comes_again_whatever_its_rules_say() -> None:
    init = (ruled("Always", rule("In", 42), name="proxy"),)
    world = world_of(container(), policy="Never", init=init)
    generation_after(world, "proxy", 1)
    assert world.started() == ["proxy", "web", "proxy"]


@pytest.mark.parametrize(
    ("pods", "own", "again"),
    [
        ("Never", ruled("Always"), True),
        ("Never", ruled("OnFailure"), True),
        ("Never", ruled("Never", rule("In", 137)), True),
        ("Never", ruled("Never", rule("In", 1, action="RestartAllContainers")), False),
        ("Never", ruled("", rule("In", 137)), False),
        ("Always", ruled("Never"), False),
        ("OnFailure", container(), True),
    ],
)
def test_a_pod_whose_sandbox_died_is_made_anew_where_a_container_may_run_again(
    pods: str, own: Container, *, again: bool
) -> None:
    world = world_of(own, policy=pods)
    world.runtime.vanish("a")
    world.observe()
    world.run_until_idle()
    assert (world.started() == ["web", "web"]) is again
    assert (world.generation().stage is Stage.FINISHED) is not again


@pytest.mark.parametrize(("pods", "own", "again"), [("Always", "Never", True), ("Never", "Always", False)])
def test_lives_of_before_went_by_the_pods_policy_alone(pods: str, own: str, *, again: bool) -> None:
    world = world_of(ruled(own, rule("In", 1)), policy=pods, then=True)
    assert (generation_after(world, "web", 1).stage is Stage.ACTIVE) is again
    world = world_of(ruled(own, rule("In", 137)), policy=pods, then=True)
    world.runtime.vanish("a")
    world.observe()
    world.run_until_idle()
    assert (world.started() == ["web", "web"]) is again


def test_a_container_that_the_definition_does_not_name_goes_by_the_pods_policy() -> None:
    world = world_of(sidecar("web"), policy="Never")
    gen = world.generation()
    assert not will_restart(gen, record_of(gen, "gone"), OWN)
