"""What is run: each kind of run as the hub's bench, the limit and the peers have it. A peer that has no such thing (PostgreSQL has no feed
that waits, JetStream no look-up of many) is left out of that run."""

import dataclasses

# Stands for the profile that publishes.
OWN_PROFILE = object()

# What the hub keeps of a replay through a filter: about one in a hundred, as the mark of the peers' values.
RARE_FILTER = "kind:sha256"

# Indicators that each fan-out publishes: fewer where more subscribers receive them. JetStream syncs each, and gets fewer.
FANOUTS = {1: (100_000, 10_000), 10: (30_000, 5_000), 100: (6_000, 2_000)}

LATENCY_RATE = 1_000

DURABLE = ("etcd", "nats", "postgres", "redis")

# What the hub is to reach, beside what it reached.
GOALS = {
    ("publish unary", 1): "80 % of the limit",
    ("publish unary", 64): "80 % of the limit, 3.5× etcd, 2× JetStream, 1.2× PostgreSQL",
    ("publish unary", 256): "80 % of the limit",
    ("publish batch", 8): "2.2× Redis, 2.9× PostgreSQL, 4× etcd, 4 µs",
    ("publish stream", 8): "as by batches",
    ("fan-out", 1): "2× the best, 0.7 µs",
    ("fan-out", 10): "2× the best, 0.7 µs",
    ("fan-out", 100): "2× the best, 0.7 µs",
    ("latency", 10): "p50 ≤ 0.35 ms, p99 ≤ 3.5 ms",
    ("latency", 100): "ahead of every peer",
    ("replay", 1): "70 % of the limit, 1.8× PostgreSQL",
    ("replay of 1 %", 1): "3× PostgreSQL",
    ("look-up unary, hits", 64): "90 % of the limit",
    ("look-up unary, misses", 64): "no more than hits",
    ("look-up batch, hits", 8): "1.3× Redis",
    ("look-up batch, misses", 8): "no more than hits",
}


@dataclasses.dataclass
class Run:
    """One kind of run. `hub` and `echo` are arguments; `peer` gives those of a peer by its name, or none."""

    title: str
    clients: int
    hub: list
    echo: list = None
    peer: object = lambda name: None

    def of_systems(self, peers):
        """The hub, then the limit and the peers: those that have it, with their arguments."""
        yield None, self.hub
        for peer in peers:
            arguments = self.echo if peer.name == "echo" else self.peer(peer.name)
            if arguments:
                yield peer, arguments


def only(names, arguments):
    return lambda name: arguments if name in names else None


def members(hub):
    """Members of several kinds, some in a group that a quarter of what is published is for; the first publishes."""
    kinds = [("Platform", "platform"), ("Lab", "research"), ("Newsroom", "media"), ("Agency", "government")]
    profiles = [hub.add_member(name, kind) for name, kind in kinds]
    hub.admin("group", "create", "Inner circle")
    for name in ("Platform", "Lab"):
        hub.admin("group", "add", "Inner circle", name)
    return profiles


def audience(profiles):
    """Mixed rights and filters of a fan-out's subscribers."""
    words = [word for profile in profiles for word in ("--subscriber-profile", str(profile))]
    return [*words, "--filter", "", "--filter", "kind:domain confidence>=70"]


def held(name, items):
    """What a peer holds when it is read: JetStream takes minutes to sync as many as the others."""
    return items // 10 if name == "nats" else items


def fill(name, items):
    return ["fill", "--items", held(name, items)]


def reading(names, items, arguments):
    """What reads all that is held."""
    return lambda name: [*arguments, "--items", held(name, items)] if name in names else None


def runs(seconds, items):
    """Reads come first, so that all hold as much and not what the others left."""
    yield from reads(seconds, items)
    yield from writes(seconds)


def reads(seconds, items):
    time = ["--seconds", seconds]
    kept = ["--kept", "--items", items]
    yield Run("replay", 1, ["replay", *kept], ["receive", "--clients", 1, "--batch", 256, *time],
              reading(DURABLE, items, ["replay", *time]))  # fmt: skip
    yield Run("replay of 1 %", 1, ["replay", *kept, "--filter", RARE_FILTER], None,
              reading(("postgres",), items, ["replay", "--marked", *time]))  # fmt: skip
    for hits, what in ((100, "hits"), (0, "misses")):
        hub, asked = ["--kept", "--items", items, "--hits", hits], ["--hits", hits, *time]
        yield Run(
            f"look-up unary, {what}", 64, ["lookup", "--mode", "unary", "--clients", 64, *hub],
            ["send", "--clients", 64, *time], reading(DURABLE, items, ["lookup", "--clients", 64, *asked]),
        )  # fmt: skip
        yield Run(
            f"look-up batch, {what}", 8, ["lookup", "--mode", "batch", "--clients", 8, *hub],
            ["send", "--clients", 8, "--batch", 128, *time],
            reading(("etcd", "postgres", "redis"), items, ["lookup", "--clients", 8, "--batch", 128, *asked]),
        )  # fmt: skip


def writes(seconds):
    time = ["--seconds", seconds]
    for clients in (1, 64, 256):
        yield Run(
            "publish unary", clients,
            ["publish", "--mode", "unary", "--clients", clients],
            ["send", "--clients", clients, *time],
            only(DURABLE, ["publish", "--clients", clients, *time]),
        )  # fmt: skip
    batch = ["publish", "--clients", 8, "--batch", 128, *time]
    yield Run(
        "publish batch", 8, ["publish", "--mode", "batch", "--clients", 8], ["send", "--clients", 8, "--batch", 128, *time],
        only(DURABLE, batch),
    )  # fmt: skip
    # A stream is held against what the peers do with many in one request.
    yield Run(
        "publish stream", 8, ["publish", "--mode", "stream", "--clients", 8], ["stream", "--clients", 8, *time], only(DURABLE, batch)
    )
    for subscribers, (many, few) in FANOUTS.items():
        many, few = (max(1_000, int(count * min(1, seconds / 2))) for count in (many, few))
        to = ["fanout", "--subscribers", subscribers]
        yield Run(
            "fan-out", subscribers, [*to, "--items", many],
            ["receive", "--clients", subscribers, "--batch", 256, *time],
            lambda name, to=to, many=many, few=few: {
                "etcd": [*to, "--items", many], "redis": [*to, "--items", many], "nats": [*to, "--items", few],
            }.get(name),
        )  # fmt: skip
    for subscribers in (10, 100):
        to = ["fanout", "--subscribers", subscribers, "--publishers", 16, "--batch", 1, "--rate", LATENCY_RATE]
        offered = max(100, int(LATENCY_RATE * seconds))
        yield Run("latency", subscribers, [*to, "--items", offered], None, only(("etcd", "nats", "redis"), [*to, "--items", offered]))
