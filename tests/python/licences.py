"""Holds the licences, sources and bans of `deny.toml` where cargo-deny is not installed. Reads, on standard input,
`cargo tree --prefix none --format '{p}|{l}'`, which unlike `cargo metadata` leaves out optional dependencies that are off.

It knows the part of SPDX expressions that crates use (AND, OR, WITH, parentheses, and "/" for OR). It refuses to guess: an
expression that it cannot read is a fault. It says nothing of advisories.
"""

import pathlib
import re
import sys
import tomllib

# `name v1.2.3|licence`; what does not come from crates.io has its source after the version.
LINE = re.compile(r"(?P<name>\S+) v(?P<version>\S+)(?P<source>( \(.*\))?)\|(?P<licence>.*)")


class Expression:
    """An SPDX expression, judged while it is read."""

    def __init__(self, text, allowed):
        self.tokens = re.findall(r"[()]|[A-Za-z0-9.+-]+", text.replace("/", " OR "))
        self.allowed = allowed

    def holds(self):
        holds = self.either()
        if self.tokens:
            raise ValueError(f"cannot be read at {self.tokens[0]!r}")
        return holds

    def either(self):
        holds = self.both()
        while self.take("OR"):
            holds = self.both() or holds
        return holds

    def both(self):
        holds = self.one()
        while self.take("AND"):
            holds = self.one() and holds
        return holds

    def one(self):
        if self.take("("):
            holds = self.either()
            if not self.take(")"):
                raise ValueError("has an open parenthesis")
            return holds
        if not self.tokens:
            raise ValueError("ends too early")
        licence = self.tokens.pop(0)
        if self.take("WITH"):
            licence += " WITH " + self.tokens.pop(0)
        return licence in self.allowed

    def take(self, word):
        if self.tokens[:1] == [word]:
            return self.tokens.pop(0)
        return None


def faults(packages, rules):
    allowed = set(rules["licenses"]["allow"])
    banned = {rule["crate"] for rule in rules["bans"]["deny"]}
    for package in packages:
        name = f"{package['name']} {package['version']}"
        try:
            if not Expression(package["licence"], allowed).holds():
                yield f"{name}: licence {package['licence']} is not permitted"
        except ValueError as error:
            yield f"{name}: licence {package['licence']!r} {error}"
        if package["source"] and package["name"] != "clearinghouse":
            yield f"{name}: comes from{package['source']}"
        if package["name"] in banned:
            yield f"{name}: is banned"


def controls():
    """What must be refused, is."""
    rules = {"licenses": {"allow": ["MIT", "ISC"]}, "bans": {"deny": [{"crate": "openssl"}]}}
    for line, count in [("a v1|MIT", 0), ("a v1|GPL-3.0", 1), ("a v1|MIT/GPL-3.0", 0), ("a v1|MIT AND GPL-3.0", 1),
                        ("a v1|ISC AND (GPL-3.0 OR MIT)", 0), ("a v1|MIT WITH x", 1), ("a v1|(MIT", 1), ("a v1|", 1),
                        ("a v1 (https://x.example/a#1)|MIT", 1), ("openssl v1|MIT", 1), ("a v1 (proc-macro)|MIT", 0)]:
        assert len(list(faults(read([line]), rules))) == count, line


def read(lines):
    """The packages of a tree, each once."""
    distinct = {line.removesuffix(" (*)").replace(" (proc-macro)", "") for line in lines}
    return [LINE.fullmatch(line).groupdict() for line in sorted(distinct)]


if __name__ == "__main__":
    controls()
    packages = read(line for line in sys.stdin.read().splitlines() if line)
    assert len(packages) > 100, "the tree is cut short"
    found = list(faults(packages, tomllib.loads(pathlib.Path(sys.argv[1]).read_text())))
    print("\n".join(found) or f"{len(packages)} packages: licences, sources and bans hold")
    sys.exit(bool(found))
