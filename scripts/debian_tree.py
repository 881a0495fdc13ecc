"""A Debian tree to boot, with a node and Telegraf in it; and a newer version of the package."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from running import say

PACKAGE: Final = "telegraf-bitcoin-ipc"

NODE_UNIT: Final = """\
[Unit]
Description=Bitcoin node
[Service]
User=bitcoin
ExecStart=/opt/bitcoin/bin/bitcoin-node {options} -ipcbind=unix -datadir=/var/lib/bitcoind
Environment=LD_LIBRARY_PATH=/opt/bitcoin/lib
TimeoutStopSec=600
StandardOutput=null
[Install]
WantedBy=multi-user.target
"""

SIMULATED: Final = """\
#!/usr/bin/python3 -IS
import sys
sys.path.insert(0, "/opt/bitcoin/lib/simulated")
from telegraf_bitcoin_ipc.cli import main
sys.exit(main(["simulate", "--block-interval", "1", "/var/lib/bitcoind/node.sock"]))
"""

TELEGRAF_UNIT: Final = """\
[Unit]
Description=Telegraf
After=network-online.target
[Service]
User=telegraf
ExecStart=/usr/bin/telegraf -config /etc/telegraf/telegraf.conf -config-directory /etc/telegraf/telegraf.d
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
KillMode=mixed
[Install]
WantedBy=multi-user.target
"""

TELEGRAF_CONFIG: Final = """\
[agent]
  interval = "10s"
[[inputs.execd]]
  command = ["/bin/sh", "-c", "while echo other value=1; do sleep 5; done"]
  signal = "none"
  data_format = "influx"
[[outputs.file]]
  files = ["/dev/null"]
"""


def make_tree(archive: Path, tree: Path) -> None:
    """Unpack Debian as this system's release has it; the archive is made the first time."""
    if not archive.exists():
        say(f"setup: making {archive}, once")
        packages = "systemd,systemd-sysv,dbus,python3,procps,iproute2,man-db,passwd"
        release = re.search(r"VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text())
        part = archive.with_suffix(".part")
        suite = release[1] if release else "stable"
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "--format=tar", suite, part],
            check=True,
        )
        part.rename(archive)
    tree.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", tree], check=True)


def put(tree: Path, name: str, text: str, mode: int = 0o644) -> None:
    """Write a file of the tree."""
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def furnish(tree: Path, telegraf: Path, package: Path, node: Path | None) -> None:
    """Put a node and Telegraf into the tree, each with its account and its unit."""
    for account, home in (("bitcoin", "/var/lib/bitcoind"), ("telegraf", "/var/lib/telegraf")):
        add = ["useradd", "--root", str(tree), "--system", "--user-group", "--create-home"]
        subprocess.run([*add, "--home-dir", home, account], check=True, stderr=subprocess.DEVNULL)
    program = tree / "opt/bitcoin/bin/bitcoin-node"
    libraries = tree / "opt/bitcoin/lib"
    program.parent.mkdir(parents=True)
    libraries.mkdir()
    if node:
        shutil.copy(node, program)
        for _, path in re.findall(r"(\S+) => (/\S+)", subprocess.check_output(["ldd", node], text=True)):
            if not re.search(r"/(libc|libm|libstdc\+\+|libgcc_s|ld-linux\S*)\.so", path):
                shutil.copy(path, libraries)
    else:
        with tempfile.TemporaryDirectory() as unpacked:
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
            shutil.copytree(f"{unpacked}/usr/lib/{PACKAGE}", libraries / "simulated")
        put(tree, "opt/bitcoin/bin/bitcoin-node", SIMULATED, 0o755)
    options = "-regtest -listen=0 -dnsseed=0 -disablewallet" if node else ""
    put(tree, "etc/systemd/system/bitcoind.service", NODE_UNIT.format(options=options))
    shutil.copy(telegraf, tree / "usr/bin/telegraf")
    put(tree, "lib/systemd/system/telegraf.service", TELEGRAF_UNIT)
    put(tree, "etc/telegraf/telegraf.conf", TELEGRAF_CONFIG)
    (tree / "etc/telegraf/telegraf.d").mkdir()
    wanted = tree / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "bitcoind.service").symlink_to("/etc/systemd/system/bitcoind.service")
    (wanted / "telegraf.service").symlink_to("/lib/systemd/system/telegraf.service")


def newer(package: Path, directory: Path) -> Path:
    """Return a package with the same contents, and a higher version of itself and of the plugin."""
    content = directory / "newer"
    subprocess.run(["dpkg-deb", "-R", package, content], check=True)
    control = content / "DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)$", r"\1.1", control.read_text(), flags=re.MULTILINE))
    (metadata,) = content.glob(f"usr/lib/{PACKAGE}/telegraf_bitcoin_ipc-*.dist-info/METADATA")
    metadata.write_text(re.sub(r"^(Version: .*)$", r"\1.post1", metadata.read_text(), flags=re.MULTILINE))
    made = directory / f"{PACKAGE}_newer.deb"
    subprocess.run(
        ["dpkg-deb", "-Zgzip", "--root-owner-group", "-b", content, made], check=True, stdout=subprocess.DEVNULL
    )
    return made
