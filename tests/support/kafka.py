"""A real Kafka: one broker that is its own controller."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.processes import START_SECONDS, Process, free_port

CLUSTER = "dGVsZWdyYWYtYml0Y29pbg"  # any 16 bytes, in base64 without padding

PROPERTIES = """\
process.roles=broker,controller
node.id=1
log.dirs={data}
listeners=CLIENT://{address},BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://{address},BROKER://127.0.0.1:{broker}
listener.security.protocol.map=CLIENT:{protocol},BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
num.partitions=2
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
"""

SECURE_PROPERTIES = """\
sasl.enabled.mechanisms=PLAIN
listener.name.client.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
ssl.keystore.type=PKCS12
ssl.keystore.location={keystore}
ssl.keystore.password={password}
"""


@dataclass(frozen=True)
class Login:
    """A user of Kafka's, and the certificate by which a client knows the broker: a PEM file."""

    user: str
    password: str
    certificate: Path


class Kafka(Process):
    """A real Kafka in KRaft mode; what it has stored survives a stop and a start.

    A `secure` one takes clients by TLS and SASL (PLAIN) only.
    """

    def __init__(self, binary: Path, directory: Path, *, secure: bool = False) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.login = _certify(directory) if secure else None
        self._binary, self._properties = binary, directory / "server.properties"
        text = PROPERTIES.format(
            data=directory / "kafka-data",
            address=self.address,
            broker=free_port(),
            controller=free_port(),
            protocol="SASL_SSL" if self.login else "PLAINTEXT",
        )
        if self.login:
            text += SECURE_PROPERTIES.format(
                user=self.login.user, password=self.login.password, keystore=directory / KEYSTORE
            )
        self._properties.write_text(text)
        super().__init__([binary, "kafka.Kafka", self._properties], directory, name="kafka")

    @property
    def url(self) -> str:
        """Where nodes send to, and the central Telegraf reads from, as `config` takes it."""
        return f"kafka+ssl://{self.login.user}@{self.address}" if self.login else f"kafka://{self.address}"

    @property
    def environment(self) -> dict[str, str]:
        """What a Telegraf needs in its environment."""
        if not self.login:
            return {}
        return {
            "BITCOIN_FLEET_PASSWORD": self.login.password,
            "BITCOIN_FLEET_CA": str(self.login.certificate),
        }

    def start(self) -> None:
        """Start it, and wait until it takes clients."""
        tool = (self._binary, "kafka.tools.StorageTool")
        _run(*tool, "format", "--ignore-formatted", "--cluster-id", CLUSTER, "--config", self._properties)
        super().start()
        self.logged("Kafka Server started")


KEYSTORE = "kafka.p12"


def _certify(directory: Path) -> Login:
    """Make a key and a certificate for the loopback address, signed by itself."""
    login = Login("fleet", "correct horse", directory / "kafka.pem")
    keytool = shutil.which("keytool")
    assert keytool, "keytool, which Java brings, is not on the PATH"
    store = ("-alias", "kafka", "-keystore", str(directory / KEYSTORE), "-storepass", login.password)
    _run(keytool, "-genkeypair", "-keyalg", "EC", "-dname", "CN=kafka", "-ext", "san=ip:127.0.0.1", *store)
    _run(keytool, "-exportcert", "-rfc", "-file", login.certificate, *store)
    return login


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
