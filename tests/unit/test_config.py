"""The options: their defaults and bounds, and one clear sentence about whatever is wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from telegraf_bitcoin_ipc.config import OPTIONS, Config, from_environment, make_config, to_arguments
from telegraf_bitcoin_ipc.errors import ConfigError

SOCKET = "/run/bitcoind/node.sock"
BAD_VALUE = "the value of the tag 'site' contains a backslash, a control character or invalid UTF-8"
NAME_RULE = "is not a valid tag name (letters, digits and _, starting with a letter)"


def made(**values: Any) -> Config:
    """Return the configuration of those options and a socket."""
    return make_config({"socket": SOCKET, **values})


def test_defaults() -> None:
    """With the socket alone everything useful is on, at the pace that the documentation tells, and stays so."""
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
    with pytest.raises(ValidationError):
        made().debug = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        # The longest path that the system takes is taken, counted in bytes.
        ("socket", "/" + "é" * 53, "/" + "é" * 53),
        # Intervals are seconds, from a tenth of one to a day, with decimals.
        *(("poll_interval", text, float(text)) for text in ("0.1", "1", "2.5", "86400")),
        *(("emit_interval", text, float(text)) for text in ("0.1", "1", "2.5", "86400")),
        # A switch in the environment can be off, too.
        *(("debug", text, False) for text in ("0", "false", "no")),
        ("debug", "1", True),
        # Groups are chosen by a list, in which `none` stands for no more than what is always on.
        ("metrics", "mempool", ("mempool",)),
        ("metrics", "none", ()),
        ("metrics", "", ()),
        ("metrics", "core, mempool,mempool", ("core", "mempool")),
        ("metrics", "none,mempool", ("mempool",)),
        # Fees are estimated for up to ten targets, each once, as far ahead as the node can.
        ("fee_targets", "2", (2,)),
        ("fee_targets", "1, 1008", (1, 1008)),
        ("fee_targets", "144,2,144,", (144, 2)),
        ("fee_targets", "1,2,3,4,5,6,7,8,9,10", (*range(1, 11),)),
        # Tags are KEY=VALUE with anything printable in the value; the last one of a key holds.
        (
            "tag",
            ["site=Zürich, 2nd floor = b", "Rack_2=x", "a=1", "a=2"],
            {"site": "Zürich, 2nd floor = b", "Rack_2": "x", "a": "2"},
        ),
    ],
)
def test_good_input(option: str, text: str | list[str], value: object) -> None:
    """What is right is taken for what it means."""
    assert getattr(made(**{option: text}), option) == value


AT_LEAST = "it should be greater than or equal to"
AT_MOST = "it should be less than or equal to"
TOO_LONG = "the path is longer than the 107 bytes that a socket path may have"
GROUPS = "core, plugin, mempool, chain, network, peers, fees, blocks"
ELEVEN = "1,2,3,4,5,6,7,8,9,10,11"


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("SOCKET", None, "it is required"),
        ("SOCKET", "", "the path of the node's socket is empty"),
        ("SOCKET", "a" * 108, TOO_LONG),
        ("SOCKET", "/" + "é" * 53 + "a", TOO_LONG),
        ("SOCKET", "/\udcff", r"the path '/\udcff' is not UTF-8"),
        ("--poll-interval", "0", f"{AT_LEAST} 0.1, but is '0'"),
        ("--poll-interval", "-1", f"{AT_LEAST} 0.1, but is '-1'"),
        ("--emit-interval", "86401", f"{AT_MOST} 86400, but is '86401'"),
        ("--emit-interval", "nan", "it should be a finite number, but is 'nan'"),
        ("--emit-interval", "inf", "it should be a finite number, but is 'inf'"),
        ("--emit-interval", "10s", "it should be a valid number, but is '10s'"),
        ("--emit-interval", "", "it should be a valid number, but is ''"),
        ("--debug", "maybe", "it should be a valid boolean, but is 'maybe'"),
        ("--metrics", "wallet", f"there is no group 'wallet'; the groups are {GROUPS}"),
        ("--fee-targets", "0", f"{AT_LEAST} 1, but is '0'"),
        ("--fee-targets", "-2", f"{AT_LEAST} 1, but is '-2'"),
        ("--fee-targets", "2,1009", f"{AT_MOST} 1008, but is '1009'"),
        ("--fee-targets", "2,six", "it should be a valid integer, but is 'six'"),
        ("--fee-targets", "2.5", "it should be a valid integer, but is '2.5'"),
        ("--fee-targets", "²", "it should be a valid integer, but is '²'"),
        ("--fee-targets", " , ", "it should have at least 1 item, not 0"),
        ("--fee-targets", ELEVEN, "it should have at most 10 items, not 11"),
        ("--tag", ["site"], "'site' is not KEY=VALUE"),
        ("--tag", ["a=b", "site"], "'site' is not KEY=VALUE"),
        ("--tag", ["=x"], f"'' {NAME_RULE}"),
        ("--tag", ["1a=x"], f"'1a' {NAME_RULE}"),
        ("--tag", ["é=x"], f"'é' {NAME_RULE}"),
        ("--tag", ["a\n=x"], rf"'a\n' {NAME_RULE}"),
        ("--tag", ["stat=x"], "the tag 'stat' is used by the metrics themselves"),
        ("--tag", ["method=x"], "the tag 'method' is used by the metrics themselves"),
        ("--tag", ["host=x"], "the tag 'host' is Telegraf's own"),
        ("--tag", ["site="], "the value of the tag 'site' is empty"),
        ("--tag", ["site=  "], "the value of the tag 'site' is empty"),
        *(("--tag", [f"site=a{character}b"], BAD_VALUE) for character in "\\\n\x00\x7f\udcff"),
    ],
)
def test_bad_input(option: str, given: str | list[str] | None, said: str) -> None:
    """Whatever is wrong, one line names the option as the user typed it and says what it should be."""
    (field,) = (field for field, each in OPTIONS.items() if each.name == option)
    values = {"socket": SOCKET, field: given}
    with pytest.raises(ConfigError) as caught:
        make_config({field: value for field, value in values.items() if value is not None})
    assert str(caught.value) == f"{option}: {said}"
    assert said.isprintable()


def test_first_mistake_only() -> None:
    """Several mistakes are told one at a time."""
    with pytest.raises(ConfigError) as caught:
        made(poll_interval="x", emit_interval="x")
    assert str(caught.value) == "--poll-interval: it should be a valid number, but is 'x'"


def test_environment() -> None:
    """Each option can be set in execd's `environment`, under the prefix and in capitals.

    An empty variable is as one that is not set, and nobody else's is looked at.
    """
    assert from_environment({"TELEGRAF_BITCOIN_IPC_TAG": "", "DEBUG": "1", "SOCKET": "x"}) == {}
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


def test_help() -> None:
    """The help says something about every option, and shows defaults as a user would type them."""
    assert all(field.description for field in Config.model_fields.values())
    assert {field: option.default for field, option in OPTIONS.items() if option.default} == {
        "poll_interval": "60",
        "emit_interval": "10",
        "metrics": "mempool,chain,network,fees,blocks",
        "fee_targets": "2,6,144",
    }
