"""The options: their defaults and bounds, and one clear sentence about whatever is wrong."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from telegraf_bitcoin_ipc.config import OPTIONS, Config, from_environment, make_config, to_arguments
from telegraf_bitcoin_ipc.errors import ConfigError

SOCKET = "/run/bitcoind/node.sock"
NAME_RULE = "is not a valid tag name (letters, digits and _, starting with a letter)"


def made(**values: Any) -> Config:
    """Return the configuration of those options and a socket."""
    return make_config({"socket": SOCKET, **values})


def complaint(values: dict[str, Any]) -> str:
    """Return what is said about options that are refused."""
    with pytest.raises(ConfigError) as caught:
        make_config(values)
    return str(caught.value)


def test_defaults() -> None:
    """With the socket alone everything useful is on, at the pace that the documentation tells."""
    assert made().model_dump() == {
        "socket": SOCKET,
        "debug": False,
        "poll_interval": 60,
        "emit_interval": 10,
        "metrics": ("mempool", "chain", "network", "fees", "blocks"),
        "fee_targets": (2, 6, 144),
        "no_utxo_trace": False,
        "no_guard": False,
        "tag": {},
    }


def test_every_option_is_described() -> None:
    """--help says something about every option."""
    assert all(field.description for field in Config.model_fields.values())


def test_it_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(ValidationError):
        made().debug = True  # type: ignore[misc]


@pytest.mark.parametrize("option", ["poll_interval", "emit_interval"])
@pytest.mark.parametrize("text", ["0.1", "1", "2.5", "86400"])
def test_intervals(option: str, text: str) -> None:
    """Intervals are seconds, from a tenth of one to a day, with decimals."""
    assert getattr(made(**{option: text}), option) == float(text)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("mempool", ("mempool",)),
        ("none", ()),
        ("", ()),
        ("core, mempool,mempool", ("core", "mempool")),
        ("none,mempool", ("mempool",)),
    ],
)
def test_groups(text: str, groups: tuple[str, ...]) -> None:
    """Groups are chosen by a list, in which `none` stands for no more than what is always on."""
    assert made(metrics=text).metrics == groups


@pytest.mark.parametrize(
    ("text", "targets"),
    [("2", (2,)), ("1, 1008", (1, 1008)), ("144,2,144,", (144, 2)), ("1,2,3,4,5,6,7,8,9,10", (*range(1, 11),))],
)
def test_fee_targets(text: str, targets: tuple[int, ...]) -> None:
    """Fees are estimated for up to ten targets, each once, as far ahead as the node can."""
    assert made(fee_targets=text).fee_targets == targets


def test_tags() -> None:
    """Tags are KEY=VALUE with anything printable in the value; the last one of a key holds."""
    texts = ["site=Zürich, 2nd floor = b", "Rack_2=x", "a=1", "a=2"]
    assert made(tag=texts).tag == {"site": "Zürich, 2nd floor = b", "Rack_2": "x", "a": "2"}


def test_longest_path() -> None:
    """The longest path that the system takes is taken, counted in bytes."""
    path = "/" + "é" * 53
    assert len(path.encode()) == 107
    assert make_config({"socket": path}).socket == path


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "SOCKET: it is required"),
        ({"socket": ""}, "SOCKET: the path of the node's socket is empty"),
        ({"socket": "a" * 108}, "SOCKET: the path is longer than the 107 bytes that a socket path may have"),
        (
            {"socket": "/" + "é" * 53 + "a"},
            "SOCKET: the path is longer than the 107 bytes that a socket path may have",
        ),
        ({"socket": "/\udcff"}, r"SOCKET: the path '/\udcff' is not UTF-8"),
        (
            {"poll_interval": "0"},
            "--poll-interval: it should be greater than or equal to 0.1, but is '0'",
        ),
        (
            {"poll_interval": "-1"},
            "--poll-interval: it should be greater than or equal to 0.1, but is '-1'",
        ),
        (
            {"emit_interval": "86401"},
            "--emit-interval: it should be less than or equal to 86400, but is '86401'",
        ),
        ({"emit_interval": "nan"}, "--emit-interval: it should be a finite number, but is 'nan'"),
        ({"emit_interval": "inf"}, "--emit-interval: it should be a finite number, but is 'inf'"),
        ({"emit_interval": "10s"}, "--emit-interval: it should be a valid number, but is '10s'"),
        ({"emit_interval": ""}, "--emit-interval: it should be a valid number, but is ''"),
        ({"debug": "maybe"}, "--debug: it should be a valid boolean, but is 'maybe'"),
        (
            {"metrics": "wallet"},
            "--metrics: there is no group 'wallet'; the groups are core, plugin, mempool, chain, network, peers, "
            "fees, blocks",
        ),
        (
            {"fee_targets": "0"},
            "--fee-targets: it should be greater than or equal to 1, but is '0'",
        ),
        (
            {"fee_targets": "2,1009"},
            "--fee-targets: it should be less than or equal to 1008, but is '1009'",
        ),
        ({"fee_targets": "2,six"}, "--fee-targets: it should be a valid integer, but is 'six'"),
        ({"fee_targets": "-2"}, "--fee-targets: it should be greater than or equal to 1, but is '-2'"),
        ({"fee_targets": "2.5"}, "--fee-targets: it should be a valid integer, but is '2.5'"),
        ({"fee_targets": "²"}, "--fee-targets: it should be a valid integer, but is '²'"),
        ({"fee_targets": " , "}, "--fee-targets: it should have at least 1 item, not 0"),
        ({"fee_targets": "1,2,3,4,5,6,7,8,9,10,11"}, "--fee-targets: it should have at most 10 items, not 11"),
        ({"tag": ["stat=x"]}, "--tag: the tag 'stat' is used by the metrics themselves"),
        ({"tag": ["site"]}, "--tag: 'site' is not KEY=VALUE"),
        ({"tag": ["a=b", "site"]}, "--tag: 'site' is not KEY=VALUE"),
        ({"tag": ["=x"]}, f"--tag: '' {NAME_RULE}"),
        ({"tag": ["1a=x"]}, f"--tag: '1a' {NAME_RULE}"),
        ({"tag": ["é=x"]}, f"--tag: 'é' {NAME_RULE}"),
        (
            {"tag": ["a\n=x"]},
            rf"--tag: 'a\n' {NAME_RULE}",
        ),
        ({"tag": ["method=x"]}, "--tag: the tag 'method' is used by the metrics themselves"),
        ({"tag": ["host=x"]}, "--tag: the tag 'host' is Telegraf's own"),
        ({"tag": ["site="]}, "--tag: the value of the tag 'site' is empty"),
        ({"tag": ["site=  "]}, "--tag: the value of the tag 'site' is empty"),
        *(
            (
                {"tag": [f"site=a{character}b"]},
                "--tag: the value of the tag 'site' contains a backslash, a control character or invalid UTF-8",
            )
            for character in "\\\n\x00\x7f\udcff"
        ),
    ],
)
def test_bad_input(values: dict[str, Any], said: str) -> None:
    """Whatever is wrong, one line names the option as the user typed it and says what it should be."""
    if values:
        values = {"socket": SOCKET, **values}
    assert complaint(values) == said
    assert said.isprintable()


def test_first_mistake_only() -> None:
    """Several mistakes are told one at a time."""
    said = complaint({"socket": SOCKET, "poll_interval": "x", "emit_interval": "x"})
    assert said == "--poll-interval: it should be a valid number, but is 'x'"


def test_environment() -> None:
    """Each option can be set in execd's `environment`, under the prefix and in capitals."""
    environment = {
        "TELEGRAF_BITCOIN_IPC_SOCKET": SOCKET,
        "TELEGRAF_BITCOIN_IPC_DEBUG": "true",
        "TELEGRAF_BITCOIN_IPC_POLL_INTERVAL": "30",
        "TELEGRAF_BITCOIN_IPC_EMIT_INTERVAL": "5",
        "TELEGRAF_BITCOIN_IPC_METRICS": "none",
        "TELEGRAF_BITCOIN_IPC_FEE_TARGETS": "3,25",
        "TELEGRAF_BITCOIN_IPC_NO_UTXO_TRACE": "1",
        "TELEGRAF_BITCOIN_IPC_NO_GUARD": "yes",
        "TELEGRAF_BITCOIN_IPC_TAG": "site=here,rack=2",
    }
    assert len(environment) == len(Config.model_fields)
    assert make_config(from_environment(environment)) == Config(
        socket=SOCKET,
        debug=True,
        poll_interval=30,
        emit_interval=5,
        metrics=(),
        fee_targets=(3, 25),
        no_utxo_trace=True,
        no_guard=True,
        tag={"site": "here", "rack": "2"},
    )


@pytest.mark.parametrize(("text", "debug"), [("0", False), ("false", False), ("no", False), ("1", True)])
def test_environment_switches(text: str, debug: bool) -> None:
    """A switch in the environment can be off, too."""
    assert made(**from_environment({"TELEGRAF_BITCOIN_IPC_DEBUG": text})).debug is debug


def test_environment_of_others() -> None:
    """An empty variable is as one that is not set, and nobody else's is looked at."""
    assert from_environment({"TELEGRAF_BITCOIN_IPC_TAG": "", "DEBUG": "1", "SOCKET": "x"}) == {}


def test_option_names() -> None:
    """An option is called by the name that is typed."""
    assert OPTIONS["socket"].name == "SOCKET"
    assert all(re.fullmatch(r"--[a-z-]+|SOCKET", option.name) for option in OPTIONS.values())


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({}, ""),
        ({"poll_interval": "0.50", "emit_interval": "12345.678"}, "--poll-interval 0.5 --emit-interval 12345.678"),
        ({"metrics": "none", "fee_targets": "2, 1008"}, "--metrics none --fee-targets 2,1008"),
        ({"debug": True, "tag": "site=Zürich,rack=2"}, "--debug --tag site=Zürich --tag rack=2"),
    ],
)
def test_arguments_of_a_configuration(values: dict[str, Any], arguments: str) -> None:
    """The options that differ from their defaults are written as a user would type them, with all digits."""
    assert to_arguments(made(**values)) == arguments.split()


def test_defaults_as_typed() -> None:
    """The help shows defaults as a user would type them."""
    assert {field: option.default for field, option in OPTIONS.items() if option.default} == {
        "poll_interval": "60",
        "emit_interval": "10",
        "metrics": "mempool,chain,network,fees,blocks",
        "fee_targets": "2,6,144",
    }
