"""What `setup` plans, on invented machines."""

import json
import re

import pytest

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.setup import plan
from telegraf_bitcoin_ipc.setup.nodes import Node
from telegraf_bitcoin_ipc.setup.plan import (
    READ_UNITS,
    Machine,
    Remove,
    Write,
    disable,
    enable,
    join,
    leave,
    reload,
)
from telegraf_bitcoin_ipc.telegraf.sample_config import DEFAULT_ADDRESS

NODE = Node("/var/lib/bitcoind/node.sock", "bitcoin", "bitcoin", "bitcoind.service")
PROGRAM = "/usr/bin/telegraf-bitcoin-ipc"
FRESH = Machine("telegraf", {"telegraf": frozenset({"telegraf"}), "watchers": frozenset()}, {}, {}, enabled=False)


def planned(
    machine: Machine, node: Node = NODE, group: str = "telegraf", address: str = DEFAULT_ADDRESS
) -> tuple[list[plan.Step], list[str]]:
    """Return the plan for a machine."""
    return plan.plan(machine, node, PROGRAM, group, address)


def test_a_fresh_machine() -> None:
    """Units first, then the socket, then Telegraf, which only has to read its configuration again."""
    steps, kept = planned(FRESH)
    assert kept == []
    assert [step.words for step in steps] == [
        f"write {plan.DROP_IN}",
        "have systemd read its unit files",
        "enable and start bitcoin-ipc-guard.socket",
        f"write {plan.TELEGRAF_CONFIG}",
        "reload telegraf.service, if it runs",
    ]
    assert steps[-1] == reload("telegraf.service", restart=False)
    texts = {step.path: step.text for step in steps if isinstance(step, Write)}
    assert "After=bitcoind.service" in texts[plan.DROP_IN]
    assert (
        "ExecStart=\nExecStart=/usr/bin/telegraf-bitcoin-ipc guard /var/lib/bitcoind/node.sock\n"
        in texts[plan.DROP_IN]
    )
    assert f'command = ["{PROGRAM}", "{plan.GUARD_SOCKET}"]' in texts[plan.TELEGRAF_CONFIG]


def test_another_group() -> None:
    """The socket gets that group, Telegraf's account joins it, and only a restart gives the process the group."""
    steps, _ = planned(FRESH, group="watchers")
    assert Write(plan.GROUP_DROP_IN, "[Socket]\nSocketGroup=watchers\n") in steps
    assert join("telegraf", "watchers") in steps
    assert steps[-1] == reload("telegraf.service", restart=True)


def test_what_exists_is_not_overwritten() -> None:
    """Files of the administrator's stay, and are named."""
    machine = FRESH._replace(files={plan.DROP_IN: "mine", plan.TELEGRAF_CONFIG: "mine"})
    steps, kept = planned(machine)
    assert steps == [enable(plan.GUARD_SOCKET_UNIT)]
    assert kept == [f"{path} exists, and stays as it is" for path in (plan.DROP_IN, plan.TELEGRAF_CONFIG)]


def test_a_telegraf_that_has_the_plugin() -> None:
    """The plugin is not added a second time; a comment about it does not count."""
    path = "/etc/telegraf/telegraf.conf"
    machine = FRESH._replace(others={path: '  command = ["/usr/local/bin/telegraf-bitcoin-ipc", "/x"]'})
    steps, kept = planned(machine)
    assert kept == [f"{path} already runs the plugin, and stays as it is"]
    assert reload("telegraf.service", restart=False) not in steps
    steps, kept = planned(FRESH._replace(others={path: "# telegraf-bitcoin-ipc was here"}))
    assert (len(steps), kept) == (5, [])


def test_mistakes() -> None:
    """Without Telegraf or the group nothing is planned.

    A page on a port in use would stop all of Telegraf: nothing is done, and the way out is named.
    """
    with pytest.raises(ConfigError, match="install Telegraf first"):
        planned(FRESH._replace(account=""))
    with pytest.raises(ConfigError, match="there is no group 'telegraf'"):
        planned(FRESH._replace(members={}))
    machine = FRESH._replace(others={"/etc/telegraf/telegraf.conf": '  listen = ":9332"'})
    with pytest.raises(ConfigError, match=r"already uses the port 9332: give another --metrics-addr"):
        planned(machine)
    assert planned(machine, address="127.0.0.1:9333")[0]


def test_drop_in() -> None:
    """The guard can see the socket, whatever the unit's hardening hides; without a unit it waits for none."""
    usual = plan.drop_in(NODE, PROGRAM)
    for socket, setting in (
        ("/home/me/.bitcoin/node.sock", "ProtectHome=read-only"),
        ("/tmp/node.sock", "PrivateTmp=no\nInaccessiblePaths="),
    ):
        assert setting in plan.drop_in(NODE._replace(socket=socket), PROGRAM)
        assert setting not in usual
    assert "After=" in usual
    assert "After=" not in plan.drop_in(NODE._replace(unit=""), PROGRAM)


def test_undo() -> None:
    """All that was done is taken back, in the reverse order: Telegraf leaves before the guard stops."""
    steps, _ = planned(FRESH, group="watchers")
    files = {step.path: step.text for step in steps if isinstance(step, Write)}
    assert plan.undo(json.dumps([step.record for step in steps if step.record]), files) == [
        Remove(plan.TELEGRAF_CONFIG, changed=False),
        reload("telegraf.service", restart=False),
        disable(plan.GUARD_SOCKET_UNIT, plan.GUARD),
        leave("telegraf", "watchers"),
        Remove(plan.GROUP_DROP_IN, changed=False),
        READ_UNITS,
        Remove(plan.DROP_IN, changed=False),
        READ_UNITS,
    ]


def test_undo_of_what_was_changed() -> None:
    """A file that somebody has edited is kept; one that is gone, or that setup did not write, is not removed."""
    done = json.dumps([step.record for step in planned(FRESH)[0] if step.record])
    steps = plan.undo(done, {plan.TELEGRAF_CONFIG: "edited"})
    assert [step for step in steps if isinstance(step, Remove)] == [Remove(plan.TELEGRAF_CONFIG, changed=True)]
    assert plan.undo("[]", {plan.DROP_IN: "mine", plan.TELEGRAF_CONFIG: "mine"}) == []


@pytest.mark.parametrize("text", ["{", "[1]", '[["write"]]', "null"])
def test_a_record_that_is_broken(text: str) -> None:
    """One sentence, and nothing is removed."""
    with pytest.raises(ConfigError, match="is not what setup wrote"):
        plan.undo(text, {})


def test_every_step_has_its_words() -> None:
    """Nothing is done that was not said, in one line."""
    others: list[plan.Step] = [Remove("/a", changed=True), disable("a", "b"), leave("a", "b")]
    for step in planned(FRESH, group="watchers")[0] + others:
        assert re.fullmatch(".+", step.words), step
