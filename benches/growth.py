#!/usr/bin/env python3
"""Fills a fresh hub step by step and measures at each size what an operation costs, how much memory and disk an indicator takes, and how
long a start takes after an orderly stop and after `kill -9`: the kill comes right after the filling, and before any stop at that size.

    benches/growth.py                                    # to 10 million
    benches/growth.py --sizes 10000,100000               # smaller
    benches/growth.py --idle 10000                       # and the memory of idle subscribers at the last size

Prints a table in Markdown; --out gets the figures as JSON lines, --plot a picture. Costs are processor time of the hub's process, all
included, so that other work on the machine hardly changes them.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import plot
from servers import Hub, scratch_directory

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZES = "10000,100000,1000000,3000000,10000000"

# Longest that filling from one size to the next may take.
FILL_SECONDS_MAX = 3_600

# Steps have seeds so far apart that no indicator of one is in another.
SEED_STEP = 1_000_000_000

# One member holds all and subscribes from as many feeds as wanted.
CONFIG = """
[limits]
feeds_per_member_max = 20000
"""

# Goals of the growth to 10 million that a panel can show.
MEMORY_BYTES_GOAL, DISK_GOAL = 120, 1.1

# From so many on a share of one indicator is drawn.
MANY = 100_000


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each run")
    parser.add_argument("--idle", type=int, default=0, help="idle subscribers to open at the end")
    parser.add_argument("--hub", default=os.environ.get("CLEARINGHOUSE", ROOT / "target/release/clearinghouse"))
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/growth.jsonl")
    parser.add_argument("--plot", type=pathlib.Path, default=ROOT / "target/growth.svg")
    return parser.parse_args()


class Growth:
    """A hub that grows, and what is measured of it."""

    def __init__(self, chosen, scratch):
        self.chosen = chosen
        self.hub = Hub(chosen.hub, scratch, CONFIG)
        self.hub.start()
        self.profile = self.hub.add_member("Publisher", "platform")
        self.empty_bytes = self.hub.server.resident_bytes()
        self.held = self.step = 0

    def bench(self, *arguments, seconds=None):
        """One row of the hub's bench, about what the last step published."""
        common = ["--seconds", seconds or self.chosen.seconds, "--warmup", 0.2, "--server-pid", self.hub.pid, "--json"]
        command = [self.chosen.hub, "bench", *arguments, *common, "--seed", self.step * SEED_STEP, "--profile", self.profile]
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=FILL_SECONDS_MAX, check=False
        )
        if not done.stdout.startswith("{"):
            raise RuntimeError(done.stderr[-500:])
        return json.loads(done.stdout.splitlines()[-1])

    def grow_to(self, size):
        """The figures at a size."""
        self.step += 1
        added = size - self.held
        cost = lambda row: row["server_cpu_us_per_item"]
        # The first that needs them publishes them.
        replay = self.bench("replay", "--items", added)
        self.held = size
        asked = ["lookup", "--mode", "batch", "--items", added]
        figures = {
            "indicators": size,
            "replay_us": cost(replay),
            "hit_us": cost(self.bench(*asked, "--hits", 100)),
            "miss_us": cost(self.bench(*asked, "--hits", 0)),
            "resident_bytes": self.hub.server.resident_bytes(),
        }
        # Before it ever stopped in order at this size: what it has is what it left while it ran.
        self.hub.kill()
        figures["start_after_kill_s"] = self.hub.start()
        figures["stop_s"] = self.hub.stop()
        figures |= self.disk()
        figures["start_s"] = self.hub.start()
        figures["resident_after_start_bytes"] = self.hub.server.resident_bytes()
        # Last, for it makes the hub larger: by little where the hub is small.
        publish = self.bench("publish", "--mode", "batch", seconds=min(self.chosen.seconds, max(0.5, size / 100_000)))
        self.held += publish["items"]
        figures |= {"publish_us": cost(publish), "published_in_the_run": publish["items"]}
        for name in ("resident", "resident_after_start"):
            figures[f"{name}_bytes_each"] = (figures[f"{name}_bytes"] - self.empty_bytes) / size
        return figures

    def disk(self):
        """Of a hub that is stopped."""
        checked = json.loads(self.hub.run("verify", "--dir", self.hub.dir, "--json"))
        disk_bytes = self.hub.disk_bytes()
        return {"disk_bytes": disk_bytes, "entry_bytes": checked["entry_bytes"], "disk_share": disk_bytes / checked["entry_bytes"]}

    def idle(self, subscribers):
        row = self.bench("idle", "--subscribers", subscribers, "--connections", max(1, subscribers // 100), seconds=10)
        return {"idle_subscribers": subscribers, "memory_bytes": row["feeds_memory_bytes"], "cores": row["server_cores"]}


COLUMNS = [
    ("indicators", "indicators", "{:,}"),
    ("publish, µs", "publish_us", "{:.2f}"),
    ("look-up hit, µs", "hit_us", "{:.2f}"),
    ("miss, µs", "miss_us", "{:.2f}"),
    ("replayed item, µs", "replay_us", "{:.2f}"),
    ("resident MiB", "resident_bytes", "{:.0f}"),
    ("B each", "resident_bytes_each", "{:.0f}"),
    ("B each after a start", "resident_after_start_bytes_each", "{:.0f}"),
    ("disk MiB", "disk_bytes", "{:.0f}"),
    ("disk / encoded", "disk_share", "{:.2f}"),
    ("start s", "start_s", "{:.2f}"),
    ("after kill -9 s", "start_after_kill_s", "{:.2f}"),
]


def markdown(rows):
    lines = ["| " + " | ".join(title for title, _, _ in COLUMNS) + " |", "|" + "--:|" * len(COLUMNS)]
    for row in rows:
        shown = {key: value / 2**20 if key in ("resident_bytes", "disk_bytes") else value for key, value in row.items()}
        lines.append("| " + " | ".join(form.format(shown[key]) for _, key, form in COLUMNS) + " |")
    return "\n".join(lines)


def picture(rows):
    line = lambda label, key: (label, [(row["indicators"], row[key]) for row in rows])
    # Where there are few, what a hub takes at all is spread over them and hides the rest.
    many = [row for row in rows if row["indicators"] >= MANY] or rows
    each = lambda label, key: (label, [(row["indicators"], row[key]) for row in many])
    return plot.svg([
        plot.Panel("Cost of an item", "µs of the hub", [
            line("publish", "publish_us"), line("hit", "hit_us"), line("miss", "miss_us"), line("replayed", "replay_us"),
        ]),
        plot.Panel("Resident memory", "bytes an indicator", [
            each("as it grew", "resident_bytes_each"), each("after a start", "resident_after_start_bytes_each"),
        ], MEMORY_BYTES_GOAL),
        plot.Panel("Disk", "times the encoded bytes", [each("disk", "disk_share")], DISK_GOAL),
        plot.Panel("Start", "seconds", [line("after a stop", "start_s"), line("after kill -9", "start_after_kill_s")]),
    ])  # fmt: skip


def main():
    chosen = options()
    rows = []
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    with scratch_directory() as scratch, chosen.out.open("w", encoding="utf-8") as out:
        growth = Growth(chosen, scratch)
        try:
            for size in map(int, chosen.sizes.split(",")):
                rows.append(growth.grow_to(size))
                out.write(json.dumps(rows[-1]) + "\n")
                out.flush()
                print(f"  {json.dumps(rows[-1])}", file=sys.stderr)
            print(markdown(rows))
            chosen.plot.write_text(picture(rows), encoding="utf-8")
            if chosen.idle:
                idle = growth.idle(chosen.idle)
                out.write(json.dumps(idle) + "\n")
                print(f"\n{idle['idle_subscribers']:,} idle: {idle['memory_bytes'] / 2**20:.0f} MiB, {idle['cores']:.1%} of a core")
        finally:
            growth.hub.stop()


if __name__ == "__main__":
    main()
