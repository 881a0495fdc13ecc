"""Try the Debian package on a machine of its own: install, setup, upgrade, removal and purge, while a node runs.

Boots a Debian tree with systemd-nspawn, without a network. In it a node runs as the account bitcoin, and Telegraf
as InfluxData's package runs it. Needs root, mmdebstrap and systemd-container. Run by `make test-deb`. NODE_BINARY
names a real bitcoin-node to take in place of the simulated one. Exit status 1 at the first thing that is wrong.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "tests")]

from debian_tree import PACKAGE, furnish, make_tree, newer
from running import say
from support.processes import Failure, Process, children, wait_until

PAGE: Final = "http://127.0.0.1:9332/metrics"
SECONDS: Final = 120.0
"""How long anything that is waited for may take, on a busy machine."""

ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
}

FETCH: Final = f"import urllib.request as u; print(u.urlopen('{PAGE}', timeout=5).read().decode())"

OURS: Final = ("etc", "lib", "usr", "opt", "home", "root", "srv", "var/lib", "run")
"""Where nothing may be left behind; /var/log and apt's own files are the system's."""

NOT_OURS: Final = re.compile(
    r"^(var/lib/(apt|dpkg|bitcoind|systemd/(?!deb-systemd-helper)|private|python)|run/(?!bitcoin|systemd/system)|etc/ld\.so\.cache"
    r"|(usr/)?lib/python3|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$)"
)


def until(condition: Callable[[], object], what: str) -> float:
    """Wait until something holds; returns the seconds that it took. Raises AssertionError."""
    begin = time.monotonic()
    wait_until(condition, SECONDS, what, pause=0.2)
    return time.monotonic() - begin


def files(tree: Path) -> set[str]:
    """Return all that is in the tree where the package could leave something."""
    found = (path.relative_to(tree).as_posix() for place in OURS for path in (tree / place).rglob("*"))
    return {name for name in found if "__pycache__" not in name and not NOT_OURS.match(name)}


class Machine(Process):
    """A booted tree, and the steps of the trial; it is powered off in the end."""

    def __init__(self, tree: Path, older: Path, newer: Path) -> None:
        """The packages are in its root directory, too."""
        self.tree, self.older, self.newer = tree, older, newer
        self.node = ""
        boot = ["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", "--boot", "-D", str(tree)]
        hierarchy = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        super().__init__(boot, tree.parent, name="boot", environment=hierarchy)

    def __exit__(self, *error: object) -> None:
        if isinstance(error[1], AssertionError):
            with suppress(IndexError, OSError):  # it may not even have started
                say(self.run("journalctl --no-pager -n 80 -u telegraf -u bitcoin-ipc-guard", status=None))
        super().__exit__(*error)

    def stop(self, timeout: float = SECONDS) -> int | None:
        """Power off."""
        if self.running:
            self.run("systemctl poweroff", status=None)
            self.wait(timeout)
        return super().stop()

    def run(self, command: str, status: int | None = 0) -> str:
        """Run a shell command in the machine; returns what it printed. Raises AssertionError."""
        namespaces = ("-m", "-u", "-i", "-n", "-p", "-r", "-w")
        done = subprocess.run(
            ["nsenter", "--target", str(children(self.pid)[0]), *namespaces, "sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRONMENT,
        )
        assert status in (None, done.returncode), f"{command}: exit status {done.returncode}\n{done.stdout}"
        return done.stdout.strip()

    def unit(self, name: str, what: str) -> str:
        """Return a property of a unit."""
        return self.run(f"systemctl show --value --property={what} {name}")

    def metrics(self) -> dict[str, float]:
        """Return what Telegraf's page shows; nothing if there is none."""
        page = self.run(f'python3 -c "{FETCH}" 2>/dev/null', status=None)
        return {name: float(value) for name, value in re.findall(r"^(bitcoin_\S+) (\S+)$", page, re.MULTILINE)}

    def watched(self) -> bool:
        """Return whether the page shows the node, and the events of a node that has any."""
        shown = self.metrics()
        if shown.get("bitcoin_up") != 1 or shown.get("bitcoin_guard_standing") != 1:
            return False
        return shown.get('bitcoin_subscription_active{subscription="chain"}', 1) == 1

    def node_lives(self, when: str) -> None:
        """Report that the node is the process that it was. Raises AssertionError."""
        process = self.unit("bitcoind", "MainPID")
        if process != self.node:
            raise Failure(f"{when}: the node has ended\n{self.run('journalctl -u bitcoind -n 20')}")

    def begin(self) -> None:
        """Wait for the node and Telegraf."""

        def started() -> bool:
            with suppress(AssertionError, IndexError, OSError):  # there is no systemd yet
                return self.unit("multi-user.target", "ActiveState") == "active"
            return False

        until(started, "the machine has started")
        until(lambda: any((self.tree / "var/lib/bitcoind").rglob("node.sock")), "the node's socket")
        self.node = self.unit("bitcoind", "MainPID")
        assert self.node not in ("", "0"), "the node has ended at once"
        version = self.run(
            "/usr/bin/telegraf version; systemctl --version | head -n 1; . /etc/os-release; echo $PRETTY_NAME"
        )
        say("on: " + "; ".join(version.splitlines()))

    def install(self) -> None:
        """Install: nothing is enabled, nothing is started."""
        self.run(f"apt-get install --yes --no-install-recommends ./{self.older.name}")
        say(f"installed: {self.run(f'dpkg-query -W {PACKAGE}')}, without a network")
        self.run(f"man --where 1 {PACKAGE}")
        for unit in ("bitcoin-ipc-guard.socket", "bitcoin-ipc-guard.service"):
            assert self.unit(unit, "ActiveState") == "inactive", f"{unit} was started"
        enabled = self.run("systemctl is-enabled bitcoin-ipc-guard.socket", status=None)
        assert enabled == "disabled", f"the socket is {enabled}"
        self.node_lives("after the installation")

    def set_up(self) -> None:
        """Set up: the page shows the node; a second time nothing is done."""
        telegraf = self.unit("telegraf", "MainPID")
        say(self.run(f"{PACKAGE} setup --yes"))
        say(f"setup --yes: the node is on the page after {until(self.watched, 'the node is on the page'):.1f} s")
        assert self.unit("telegraf", "MainPID") == telegraf, "Telegraf was restarted, and not only reloaded"
        again = self.run(f"{PACKAGE} setup --yes")
        assert "nothing to do" in again, f"the second setup: {again}"
        say("setup --yes again: nothing to do")
        self.run(
            f"setpriv --reuid=telegraf --regid=telegraf --clear-groups {PACKAGE} check /run/bitcoin-ipc-guard.sock"
        )
        self.node_lives("after setup")

    def another_group(self) -> None:
        """Give the socket to another group, and change a file that setup wrote."""
        self.run("groupadd --system watchers")
        for times in ("once", "twice"):
            said = self.run(f"{PACKAGE} setup --yes --group watchers")
            assert ("nothing to do" in said) == (times == "twice"), f"setup --group, {times}: {said}"
        owner = self.run("stat --format='%G %a' /run/bitcoin-ipc-guard.sock")
        assert owner == "watchers 660", f"the guard's socket is {owner}"
        seconds = until(self.watched, "the node is on the page")
        say(f"setup --yes --group watchers: the node is on the page after {seconds:.1f} s")
        self.run("echo '# changed' >> /etc/telegraf/telegraf.d/bitcoin.conf")
        self.node_lives("after setup --group")

    def upgrade(self) -> None:
        """Upgrade while the node is watched."""
        name = "bitcoin_blocks_connected_total"
        if self.metrics().get("bitcoin_chain_height", 0) > 0:  # a real node on regtest has no blocks
            until(lambda: self.metrics().get(name, 3) >= 3, "three blocks are counted")
        before, old = self.metrics().get(name), self.watchers()
        self.run(f"apt-get install --yes --no-install-recommends ./{self.newer.name}")
        seconds = until(lambda: self.watched() and not self.watchers() & old, "the new plugin watches the node")
        after = self.metrics().get(name)
        say(f"upgraded: the node is watched again {seconds:.1f} s after apt-get; {name} was {before}, is {after}")
        self.node_lives("after the upgrade")

    def watchers(self) -> set[str]:
        """Return the processes of the plugin and of the guard."""
        plugin = self.run(f"pgrep -f '[b]in/{PACKAGE} /run/bitcoin-ipc-guard.sock'", status=None)
        return {*plugin.split(), self.unit("bitcoin-ipc-guard.service", "MainPID")}

    def remove(self, how: str, before: set[str]) -> None:
        """Remove: Telegraf goes on without the plugin, and nothing is left."""
        telegraf = self.unit("telegraf", "MainPID")
        self.run(f"apt-get {how} --yes {PACKAGE}")
        until(lambda: not self.metrics(), "the page has gone")
        assert self.unit("telegraf", "MainPID") == telegraf, "Telegraf was restarted, or has ended"
        left = self.run("pgrep -fa '[b]in/telegraf-bitcoin-ipc|[t]elegraf_bitcoin_ipc.guard' || :")
        assert not left, f"processes are left: {left}"
        left = "\n".join(sorted(files(self.tree) - before))
        assert not (how == "purge" and left), f"files are left:\n{left}"
        rest = f"except\n{left}" if left else "and every file"
        say(f"{how}: the page and every process are gone, {rest}; Telegraf lives on")
        self.node_lives(f"after {how}")

    def end(self) -> None:
        """Stop the node: it was never harmed."""
        self.run("systemctl stop bitcoind")
        status = self.unit("bitcoind", "ExecMainStatus")
        assert status == "0", f"the node ended with status {status}"
        say("the node lived through all of it, and stopped with status 0")


def main() -> None:
    """Do all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the package that make deb built")
    parser.add_argument("telegraf", type=Path, help="the program")
    parser.add_argument("archive", type=Path, help="the tree's archive, made if it is not there")
    options = parser.parse_args()
    node = os.environ.get("NODE_BINARY")
    if os.geteuid() != 0:
        sys.exit("error: this needs root")
    with tempfile.TemporaryDirectory(dir=options.archive.parent) as directory:
        tree = Path(directory, "tree")
        make_tree(options.archive, tree)
        furnish(tree, options.telegraf, options.package, Path(node) if node else None)
        debs = (options.package, newer(options.package, Path(directory)))
        packages = [Path(shutil.copy(each, tree)) for each in debs]
        try:
            with Machine(tree, *packages) as trial:
                trial.begin()
                before = files(tree)
                trial.install()
                trial.set_up()
                trial.upgrade()
                trial.remove("remove", before)
                trial.remove("purge", before)
                trial.install()
                trial.set_up()
                trial.another_group()
                trial.remove("purge", before)
                watchers = trial.run("getent group watchers")
                assert "telegraf" not in watchers, "Telegraf's account is still in the group"
                trial.end()
        except AssertionError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
