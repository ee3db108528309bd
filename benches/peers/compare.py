"""Prints what `run.sh` measured as a table: each kind of run of the hub beside the limit.

A ratio is the median over the rounds of what the hub did by what the limit did in the same round. The spread of the limit
tells what a ratio is worth: past 25 % the machine was too noisy.
"""

import json
import statistics
import sys

# What the hub ran, by the fields that tell it, and what of the limit it stands beside.
PAIRS = [
    ("publish unary", "send", 1),
    ("publish batch", "send", 128),
    ("publish stream", "stream", 1),
    ("fanout full", "receive", 256),
    ("replay all", "receive", 256),
    ("lookup unary", "send", 1),
    ("lookup batch", "send", 128),
]


def rounds(rows):
    """Pairs of rows that were measured one right after the other, by kind of run and number of clients."""
    pairs = {}
    for hub, limit in zip(rows, rows[1:]):
        if limit["bench"] != "echo" or hub["bench"] == "echo":
            continue
        name = f"{hub['bench']} {hub['mode']}"
        known = [(mode, batch) for pair, mode, batch in PAIRS if pair == name]
        if (limit["mode"], limit["batch"]) not in known or hub["clients"] != limit["clients"]:
            sys.exit(f"{name} stands beside {limit['mode']}: the rows are not in the order of run.sh")
        pairs.setdefault((name, hub["clients"]), []).append((hub, limit))
    return pairs


def spread(values):
    return (max(values) - min(values)) / statistics.median(values) * 100


def main(path):
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    print("| run | clients | hub, items/s | limit, items/s | ratio | hub µs/item | limit µs/item | limit's spread | rounds |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for (name, clients), measured in rounds(rows).items():
        hub = [pair[0]["rate_per_s"] for pair in measured]
        limit = [pair[1]["rate_per_s"] for pair in measured]
        ratio = statistics.median(one / other for one, other in zip(hub, limit))
        hub_cpu = statistics.median(pair[0]["server_cpu_us_per_item"] for pair in measured)
        limit_cpu = statistics.median(pair[1]["server_cpu_us_per_item"] for pair in measured)
        print(
            f"| {name} | {clients} | {statistics.median(hub):,.0f} | {statistics.median(limit):,.0f} | {ratio:.0%} "
            f"| {hub_cpu:.2f} | {limit_cpu:.2f} | {spread(limit):.0f} % | {len(measured)} |"
        )
        faults = sum(pair[0]["failures"] + pair[0]["rejected"] + pair[0]["wrong"] + pair[0]["duplicates"] for pair in measured)
        if faults:
            print(f"{name}, {clients} clients: {faults} faults", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
