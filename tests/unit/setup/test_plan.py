"""What `setup` plans, on invented machines."""

import json
from typing import Any

import pytest

from telegraf_bitcoin_ipc.errors import ConfigError
from telegraf_bitcoin_ipc.setup import plan
from telegraf_bitcoin_ipc.setup.nodes import Node
from telegraf_bitcoin_ipc.setup.plan import (
    READ_UNITS,
    Machine,
    Order,
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


def after(machine: Machine, steps: list[plan.Step]) -> Machine:
    """Return the machine once the steps are done."""
    files, members, enabled = dict(machine.files), dict(machine.members), machine.enabled
    for step in steps:
        match step:
            case Write(path, text):
                files[path] = text
            case Order(record=("join", account, group)):
                members[group] |= {account}
            case Order(record=("enable", *_)):
                enabled = True
            case _:
                pass
    return machine._replace(files=files, members=members, enabled=enabled)


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
    texts = {step.path: step.text for step in steps if isinstance(step, Write)}
    assert "After=bitcoind.service" in texts[plan.DROP_IN]
    assert (
        "ExecStart=\nExecStart=/usr/bin/telegraf-bitcoin-ipc guard /var/lib/bitcoind/node.sock\n"
        in texts[plan.DROP_IN]
    )
    assert f'command = ["{PROGRAM}", "{plan.GUARD_SOCKET}"]' in texts[plan.TELEGRAF_CONFIG]


@pytest.mark.parametrize("group", ["telegraf", "watchers"])
def test_twice_changes_nothing(group: str) -> None:
    """After a setup there is nothing left to do, and nothing to report."""
    steps, _ = planned(FRESH, group=group)
    assert planned(after(FRESH, steps), group=group) == ([], [])


def test_another_group() -> None:
    """The socket gets that group, Telegraf's account joins it, and only a restart gives the process the group."""
    steps, _ = planned(FRESH, group="watchers")
    assert Write(plan.GROUP_DROP_IN, "[Socket]\nSocketGroup=watchers\n") in steps
    assert join("telegraf", "watchers") in steps
    assert steps[-1] == reload("telegraf.service", restart=True)


def test_another_group_later() -> None:
    """A socket that is there already is made again, with the group, and the guard starts with it."""
    machine = after(FRESH, planned(FRESH)[0])
    assert planned(machine, group="watchers") == (
        [
            Write(plan.GROUP_DROP_IN, "[Socket]\nSocketGroup=watchers\n"),
            READ_UNITS,
            join("telegraf", "watchers"),
            reload("bitcoin-ipc-guard.socket", restart=True),
            reload("telegraf.service", restart=True),
        ],
        [],
    )


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


def test_an_address_that_is_taken() -> None:
    """A page on a port in use would stop all of Telegraf: nothing is done, and the way out is named."""
    machine = FRESH._replace(others={"/etc/telegraf/telegraf.conf": '  listen = ":9332"'})
    with pytest.raises(ConfigError, match=r"already uses the port 9332: give another --metrics-addr"):
        planned(machine)
    assert planned(machine, address="127.0.0.1:9333")[0]


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        (FRESH._replace(account=""), "install Telegraf first"),
        (FRESH._replace(members={}), "there is no group 'telegraf'"),
    ],
)
def test_what_is_missing(machine: Machine, sentence: str) -> None:
    """Without Telegraf or the group nothing is planned."""
    with pytest.raises(ConfigError, match=sentence):
        planned(machine)


@pytest.mark.parametrize(
    ("socket", "setting"),
    [
        ("/home/me/.bitcoin/node.sock", "ProtectHome=read-only"),
        ("/tmp/node.sock", "PrivateTmp=no\nInaccessiblePaths="),
    ],
)
def test_a_socket_that_the_units_hardening_hides(socket: str, setting: str) -> None:
    """The guard can see the socket wherever it is."""
    assert setting in plan.drop_in(NODE._replace(socket=socket), PROGRAM)
    assert setting not in plan.drop_in(NODE, PROGRAM)


def test_a_node_without_a_unit() -> None:
    """Then the guard waits for no unit."""
    assert "After=" not in plan.drop_in(NODE._replace(unit=""), PROGRAM)


def test_undo() -> None:
    """All that was done is taken back, in the reverse order: Telegraf leaves before the guard stops."""
    steps, _ = planned(FRESH, group="watchers")
    files = after(FRESH, steps).files
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
    """A file that somebody has edited is kept under another name; one that is gone is none to remove."""
    done = json.dumps([step.record for step in planned(FRESH)[0] if step.record])
    steps = plan.undo(done, {plan.TELEGRAF_CONFIG: "edited"})
    assert [step for step in steps if isinstance(step, Remove)] == [Remove(plan.TELEGRAF_CONFIG, changed=True)]


def test_undo_of_nothing() -> None:
    """What setup did not do is not undone."""
    everything = {plan.DROP_IN: "mine", plan.TELEGRAF_CONFIG: "mine"}
    assert plan.undo("[]", everything) == []


@pytest.mark.parametrize("text", ["{", "[1]", '[["write"]]', "null"])
def test_a_record_that_is_broken(text: str) -> None:
    """One sentence, and nothing is removed."""
    with pytest.raises(ConfigError, match="is not what setup wrote"):
        plan.undo(text, {})


STEPS: list[Any] = [
    *planned(FRESH, group="watchers")[0],
    Remove("/a", changed=True),
    disable("a", "b"),
    leave("a", "b"),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.words)
def test_every_step_has_its_words(step: plan.Step) -> None:
    """Nothing is done that was not said, in one line."""
    assert step.words
    assert "\n" not in step.words
