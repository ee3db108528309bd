#!/usr/bin/env python3
"""Runs the hub, the limit of its stack and the peers in turns on this machine, and prints the ratios.

    benches/peers/install.sh                 # once, as root: the peers' servers
    benches/peers/run.py                     # three rounds of everything
    benches/peers/run.py --quick             # one tiny round, to see that all of it works

Everything is on loopback and over mutual TLS, in a scratch directory that is removed at the end. Each round starts everything anew; each
kind of run is made by one system right after the other, so that a noisy minute hits all of them. What is not installed is named and left
out. Prints Markdown; the rows go to --out, one JSON object a line.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

import plan
import table
from servers import Hub, scratch_directory
from systems import PEERS, Echo

# Longest that one run may take, setting up included.
RUN_SECONDS_MAX = 180

# An error is its words, not its frames.
QUIET = {**os.environ, "RUST_BACKTRACE": "0"}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each run")
    parser.add_argument("--items", type=int, default=100_000, help="what is held when it is read")
    parser.add_argument("--systems", default="", help="only these, by name and with commas: echo, etcd, nats, postgres, redis")
    parser.add_argument("--runs", default="", help="only runs whose names begin so")
    parser.add_argument("--quick", action="store_true", help="one round of tiny runs")
    parser.add_argument("--hub", default=os.environ.get("CLEARINGHOUSE", ROOT / "target/release/clearinghouse"))
    parser.add_argument("--load", default=os.environ.get("PEERS_LOAD"), help="the load generator, where it is built already")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/peers/rows.jsonl")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.items = 1, 0.3, 5_000
    return chosen


def build(chosen):
    """The hub and the load generator, where there are none."""
    if not pathlib.Path(chosen.hub).exists():
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    if not chosen.load:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=HERE / "load", check=True)
        chosen.load = HERE / "load/target/release/load"
    Echo.load_binary = str(chosen.load)


class Round:
    """One round: a new hub, new peers, each run by each in turn."""

    def __init__(self, chosen, scratch, number, peers):
        self.chosen, self.scratch, self.number = chosen, scratch, number
        self.classes, self.rows = peers, []

    def go(self):
        self.hub = Hub(self.chosen.hub, self.scratch)
        peers = []
        try:
            self.hub.start()
            self.profiles = plan.members(self.hub)
            peers = [peer(self.scratch, self.hub) for peer in self.classes]
            for peer in peers:
                peer.start()
                if peer.name != "echo":
                    self.load(peer, plan.fill(peer.name, self.chosen.items))
            for run in plan.runs(self.chosen.seconds, self.chosen.items):
                if run.title.startswith(self.chosen.runs):
                    self.measure(run, peers)
        finally:
            for server in [*peers, self.hub]:
                server.stop()

    def measure(self, run, peers):
        for system, arguments in run.of_systems(peers):
            started = time.monotonic()
            try:
                row = self.hub_bench(arguments) if system is None else self.load(system, arguments)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                row = {"error": " ".join(str(error).split())[-300:]}
            name = "hub" if system is None else system.name
            row = {"round": self.number, "system": name, "run": run.title, "clients": run.clients, **row}
            self.rows.append(row)
            with self.chosen.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
            said = row.get("error") or f"{row['rate_per_s']:,.0f}/s"
            print(f"  {run.title}, {run.clients}: {name} {said} ({time.monotonic() - started:.1f} s)", file=sys.stderr)

    def hub_bench(self, arguments):
        # Another seed each time: nothing that a run publishes was there before.
        seed = 1_000_000 * self.number if "--kept" in arguments else 1_000_000 * self.number + 1_000 * (len(self.rows) + 1)
        profile = str(self.profiles[0])
        words = [profile if word is plan.OWN_PROFILE else str(word) for word in arguments if word != "--kept"]
        words += plan.audience(self.profiles) if "fanout" in words and "--rate" not in words else []
        common = ["--seconds", self.chosen.seconds, "--warmup", 0.5, "--server-pid", self.hub.pid, "--seed", seed, "--json"]
        said = self.run([self.chosen.hub, "bench", *words, *common, "--profile", profile])
        return json.loads(said.splitlines()[-1])

    def load(self, peer, arguments):
        access = ["--server", peer.address, "--server-pid", peer.server.pid, "--profile", self.profiles[0]]
        mode = [arguments[0], *access, *arguments[1:]] if peer.name == "echo" else [*access, *arguments]
        return json.loads(self.run([self.chosen.load, peer.name, *mode]).splitlines()[-1])

    def run(self, command):
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False, env=QUIET
        )
        # The hub's bench ends with 1 where a run had faults, which its row counts.
        if done.returncode != 0 and not done.stdout.startswith("{"):
            raise RuntimeError(done.stderr.strip()[-500:])
        return done.stdout


def main():
    chosen = options()
    build(chosen)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text("")
    wanted = chosen.systems.split(",") if chosen.systems else [peer.name for peer in [Echo, *PEERS]]
    peers = [peer for peer in [Echo, *PEERS] if peer.name in wanted]
    missing = [peer.label for peer in peers if not peer.binary()]
    if missing:
        print(f"not installed and left out: {', '.join(missing)} (benches/peers/install.sh installs them)", file=sys.stderr)
    peers = [peer for peer in peers if peer.binary()]
    rows = []
    with scratch_directory() as scratch:
        for number in range(1, chosen.rounds + 1):
            print(f"round {number} of {chosen.rounds}", file=sys.stderr)
            turn = Round(chosen, scratch, number, peers)
            turn.go()
            rows += turn.rows
    print(table.heading(chosen, peers, missing))
    print(table.ratios(rows, peers, plan.GOALS))
    print(table.figures(rows, peers))


if __name__ == "__main__":
    main()
