"""Servers that a measurement starts, on free ports of loopback and in a scratch directory, and what must be stopped afterwards. Owns
the hub's setting up: its members, agents and profiles. Refuses to measure."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# Longest that a server may take until it accepts, and to stop.
START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60


@contextlib.contextmanager
def scratch_directory():
    """A directory that is gone afterwards. Others may enter it: PostgreSQL does not run as root."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="clearinghouse-bench-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Server:
    """A process, with the children that it has."""

    def __init__(self, command, log, **settings):
        self.log = pathlib.Path(log)
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **settings,
            )

    @property
    def pid(self):
        return self.process.pid

    def wait_until(self, ready):
        """What `ready` gives once it gives anything."""
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end:
            if value := ready():
                return value
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        words = self.log.read_text(errors="replace")[-1500:]
        self.kill()
        raise RuntimeError(f"a server did not start; its last words: {words}")

    def wait_for_port(self, port):
        self.wait_until(lambda: accepts(port))

    def stop(self, how=signal.SIGTERM):
        """An orderly end; returns how many seconds it took."""
        start = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS_MAX)
        self.kill()
        return time.monotonic() - start

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


class Hub:
    """A hub of its own in `scratch/hub`. Its members have profiles in `scratch/NAME`."""

    def __init__(self, binary, scratch, config=""):
        self.binary, self.scratch, self.dir = binary, scratch, scratch / "hub"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.run("init", "--dir", self.dir)
        with (self.dir / "hub.toml").open("a") as file:
            file.write(config)
        self.port = free_port()
        self.server = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.server.pid

    def start(self):
        """Serves; returns how many seconds passed until it accepted."""
        start = time.monotonic()
        command = [self.binary, "serve", "--dir", self.dir, "--listen", self.address]
        self.server = Server(command, self.scratch / "hub.log")
        # It says its address once it accepts and its admin's profile knows where.
        self.server.wait_until(lambda: "https://" in self.server.log.read_text(errors="replace"))
        return time.monotonic() - start

    def stop(self):
        return self.server.stop() if self.server else 0

    def kill(self):
        self.server.kill()

    def run(self, *arguments, **settings):
        command = [str(word) for word in (self.binary, *arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-1500:]}")
        return done.stdout

    def admin(self, *arguments):
        return self.run(*arguments, "--profile", self.dir / "admin")

    def add_member(self, name, kind):
        """A member with one agent that may publish and subscribe; returns its profile."""
        self.admin("member", "add", name, "--kind", kind)
        token, profile = self.scratch / f"{name}.token", self.scratch / name
        token.write_text(self.admin("invite", name, "bench", "--role", "publisher,subscriber"))
        shutil.rmtree(profile, ignore_errors=True)
        authority = self.dir / "admin" / "ca.pem"
        hub = f"https://{self.address}"
        self.run("enroll", "--hub", hub, "--ca", authority, "--token-file", token, "--out", profile)
        return profile

    def disk_bytes(self):
        files = (path for path in self.dir.rglob("*") if path.is_file())
        # Blocks, not lengths: parts of a file may be holes.
        return sum(path.stat().st_blocks * 512 for path in files)
