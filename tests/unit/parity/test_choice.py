"""Which exporter a page is of, and which node of several is compared."""

import pytest
from support.looks import ABOUT, page

from telegraf_bitcoin_ipc.errors import ConfigError, EndpointUnavailable
from telegraf_bitcoin_ipc.parity.compare import find_exporter, of_one_node
from telegraf_bitcoin_ipc.parity.mapping import EXPORTERS, RPC_EXPORTER
from telegraf_bitcoin_ipc.parity.row import Exporter


@pytest.mark.parametrize(
    ("old", "complaint"),
    [
        ("node_load1 3", "no known exporter"),
        ("bitcoin_blocks 3\nbitcoind_blockchain_blocks 3", "rpc_exporter and bitcoin-prometheus-exporter"),
        (ABOUT, "page of this plugin"),
    ],
)
def test_unclear_exporter_is_a_mistake(old: str, complaint: str) -> None:
    """Nothing is guessed; --from decides."""
    with pytest.raises(ConfigError, match=complaint) as error:
        find_exporter(page(old))
    assert "--from" in str(error.value)


@pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=list(EXPORTERS))
def test_exporter_is_known_by_its_page(exporter: Exporter) -> None:
    """--from is not needed, decides where it can be, and is a mistake where nothing of that exporter's own is."""
    old = page("".join(f"{row.old} 1\n" for row in exporter.rows if "{" not in row.old))
    assert find_exporter(old) is find_exporter(old, exporter.name) is exporter
    for named in EXPORTERS.keys() - {exporter.name}:
        complaint = f"OLD_URL has no metrics of {named}; it has metrics of {exporter.name}"
        with pytest.raises(ConfigError, match=complaint):
            find_exporter(old, named)


def test_named_exporter_beside_another() -> None:
    """Where a page is of two exporters, --from chooses."""
    both = page("bitcoin_blocks 3\nbitcoind_blockchain_blocks 3")
    assert find_exporter(both, "rpc_exporter") is RPC_EXPORTER


def test_one_node_among_several() -> None:
    """With several nodes on one page the tag that the user gives chooses; without it nothing is compared."""
    both = page(
        """
        bitcoin_plugin_info{version="1",node="alpha",site="home"} 1
        bitcoin_plugin_info{version="1",node="beta",site="home"} 1
        bitcoin_mempool_size{node="alpha",site="home"} 11
        bitcoin_mempool_size{node="beta",site="home"} 22
        go_goroutines 5
        """
    )
    assert {each.value for each in of_one_node(both, {"node": "beta"})} == {1, 22}
    assert all("node" not in each.labels for each in of_one_node(both, {"node": "beta"}))
    for match in ({}, {"site": "home"}, {"node": "gamma"}):
        with pytest.raises(ConfigError, match="--match must select one node") as error:
            of_one_node(both, match)
        assert "node=alpha,site=home; node=beta,site=home" in str(error.value)


def test_one_node_needs_no_choice() -> None:
    """Tags that every series has, such as the host, do not get into the comparison."""
    one = page('bitcoin_plugin_info{version="1",host="a"} 1\nbitcoin_chain_tips{status="active",host="a"} 2')
    assert [each.labels for each in of_one_node(one, {})] == [{"version": "1"}, {"status": "active"}]


def test_list_of_nodes_is_not_endless() -> None:
    """Of hundreds of nodes the sentence names the first ones."""
    many = page("".join(f'bitcoin_plugin_info{{version="1",node="n{number}"}} 1\n' for number in range(300)))
    with pytest.raises(ConfigError, match=r"node=n19; 280 more$"):
        of_one_node(many, {})


@pytest.mark.parametrize("text", ["", "go_goroutines 5", "bitcoin_mempool_bytes 3\nbitcoin_blocks 1"])
def test_page_without_the_plugin(text: str) -> None:
    """A page without the plugin is an error, even if another exporter on it has the same names."""
    with pytest.raises(EndpointUnavailable, match="bitcoin_plugin_info"):
        of_one_node(page(text), {})
