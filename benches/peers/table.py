"""The rows as Markdown: ratios of each round's hub to each round's peer, and the figures that they come from. A ratio counts when it comes
of three rounds or more and the limit's own rates lie within 25 % of each other; each row says whether it does."""

import datetime
import pathlib
import platform
import statistics

# A row counts from so many rounds on, and up to so much spread of the limit.
ROUNDS_MIN = 3
SPREAD_MAX = 0.25

# The run that is offered a fixed rate: its latency counts.
PACED = "latency"


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    return (max(values) - min(values)) / statistics.median(values) if len(values) > 1 else 0.0


def measured(rows):
    """Rows by run, then by system, then by round."""
    runs = {}
    for row in rows:
        systems = runs.setdefault((row["run"], row["clients"]), {})
        if "error" not in row:
            systems.setdefault(row["system"], {})[row["round"]] = row
    return runs


def ratio(systems, name, pick):
    """The median over the rounds of what the hub did by what another did in the same round."""
    hub, other = systems.get("hub", {}), systems.get(name, {})
    return median([pick(hub[number]) / max(pick(other[number]), 1e-9) for number in hub.keys() & other.keys()])


def comparison(run, systems, peer):
    """Rates as a share of the limit or as times a peer's; of paced runs p50 and p99, where less is better."""
    rate = ratio(systems, peer.name, lambda row: row["rate_per_s"])
    if rate is None:
        return "–"
    if run == PACED:
        quantiles = (ratio(systems, peer.name, lambda row, which=which: row["latency_us"][which]) for which in ("p50", "p99"))
        return " / ".join(f"{quantile:.2f}×" for quantile in quantiles)
    return f"{rate:.0%}" if peer.name == "echo" else f"{rate:.2f}×"


def whether_it_counts(systems, echo_spread):
    rounds = len(systems.get("hub", {}))
    if rounds < ROUNDS_MIN:
        return f"no: {rounds} rounds"
    if echo_spread is not None and echo_spread > SPREAD_MAX:
        return "no: noisy"
    return "yes"


def line(cells):
    return "| " + " | ".join(cells) + " |"


def head(names, left):
    return [line(names), "|" + "---|" * left + "--:|" * (len(names) - left)]


def heading(chosen, peers, missing):
    """Date, machine, versions."""
    processors = pathlib.Path("/proc/cpuinfo").read_text().split("model name")
    model = processors[1].split(":", 1)[1].split("\n")[0].strip() if len(processors) > 1 else platform.machine()
    versions = "; ".join(f"{peer.label}: {peer.version()}" for peer in peers)
    left_out = f" Not installed: {', '.join(missing)}." if missing else ""
    return (
        f"{datetime.date.today()}, {platform.system()} {platform.release()}, {len(processors) - 1} × {model}; "
        f"{chosen.rounds} rounds, runs of {chosen.seconds:g} s, {chosen.items:,} items held. {versions}.{left_out}\n"
    )


def ratios(rows, peers, goals):
    """How the hub stands to the others, with what it should reach."""
    lines = head(["run", "clients", *(f"hub / {peer.label}" for peer in peers), "limit's spread", "counts", "goal"], 1)
    for (run, clients), systems in measured(rows).items():
        echo = [row["rate_per_s"] for row in systems.get("echo", {}).values()]
        echo_spread = spread(echo) if echo else None
        cells = [comparison(run, systems, peer) for peer in peers]
        noise = "–" if echo_spread is None else f"{echo_spread:.0%}"
        goal = goals.get((run, clients), "")
        lines.append(line([run, str(clients), *cells, noise, whether_it_counts(systems, echo_spread), goal]))
    return "\n".join(lines) + "\n"


def figures(rows, peers):
    """Median rate with its spread, server CPU for each item, latency; a row for each system."""
    labels = {"hub": "hub", **{peer.name: peer.label for peer in peers}}
    names = ["run", "clients", "system", "items/s", "spread", "server µs/item", "p50 ms", "p99 ms", "other cores", "rounds", "faults"]
    lines = head(names, 1)
    for (run, clients), systems in measured(rows).items():
        for name, by_round in systems.items():
            of_rounds = list(by_round.values())
            middle = lambda pick: median([pick(row) for row in of_rounds])
            rates = [row["rate_per_s"] for row in of_rounds]
            faults = sum(row.get(kind) or 0 for row in of_rounds for kind in ("failures", "rejected", "wrong", "duplicates", "missed"))
            lines.append(line([
                run, str(clients), labels[name], f"{median(rates):,.0f}", f"{spread(rates):.0%}",
                f"{middle(lambda row: row['server_cpu_us_per_item'] or 0):.2f}",
                f"{middle(lambda row: row['latency_us']['p50']) / 1e3:.2f}", f"{middle(lambda row: row['latency_us']['p99']) / 1e3:.2f}",
                f"{middle(lambda row: row['other_cores']):.1f}", str(len(of_rounds)), str(faults),
            ]))  # fmt: skip
    failed = [row for row in rows if "error" in row]
    lines += [f"\n{row['system']} failed in {row['run']}, {row['clients']}: {row['error']}" for row in failed]
    return "\n".join(lines) + "\n"
