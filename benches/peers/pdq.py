#!/usr/bin/env python3
"""Near look-ups of PDQ hashes: the hub's index and threatexchange's PDQIndex (faiss) in turns, on one thread each.

    python3 -m venv venv && venv/bin/pip install threatexchange==1.2.17 faiss-cpu
    cargo build --release --example near_queries
    venv/bin/python benches/peers/pdq.py [--hashes 1000000] [--queries 2000] [--rounds 3] [--program target/release/examples/near_queries]

Both get the same hashes and the same questions: half of them lie within 31 bits of one that is there, half near nothing. `uniform`
hashes are drawn evenly; `clustered` ones are families of a thousand that differ in up to 16 bits. What the two find must agree, or
the run fails. Prints one JSON object for each run, and at the end the ratios of questions a second, by wall clock and by processor time,
each the median of the rounds with its spread.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy
from threatexchange.signal_type.pdq.pdq_index import PDQIndex

FAMILY = 1000
COPY_BITS_MAX = 16
NEAR_BITS_MAX = 31


def turned(rng, bits, most):
    """The rows of `bits` with up to `most` different bits of each turned."""
    for row, count in zip(bits, rng.integers(0, most + 1, len(bits))):
        row[rng.choice(256, count, replace=False)] ^= 1
    return bits


def hashes_of(rng, kind, count):
    if kind == "uniform":
        return rng.integers(0, 2, (count, 256), dtype=numpy.uint8)
    first = rng.integers(0, 2, (max(count // FAMILY, 1), 256), dtype=numpy.uint8)
    return turned(rng, first[rng.integers(0, len(first), count)], COPY_BITS_MAX)


def questions_of(rng, hashes, count):
    planted = turned(rng, hashes[rng.integers(0, len(hashes), count // 2)].copy(), NEAR_BITS_MAX)
    others = rng.integers(0, 2, (count - len(planted), 256), dtype=numpy.uint8)
    return rng.permutation(numpy.concatenate([planted, others]))


def digits(bits):
    return [row.tobytes().hex() for row in numpy.packbits(bits, axis=1)]


def ask_peer(index, questions):
    wall, processor = time.perf_counter(), time.process_time()
    found = sum(len(index.query(question)) for question in questions)
    return {
        "found": found,
        "queries": len(questions),
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - processor,
    }


def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 >> 20


def run(kind, options, folder):
    rng = numpy.random.default_rng(7)
    bits = hashes_of(rng, kind, options.hashes)
    hashes, questions = digits(bits), digits(questions_of(rng, bits, options.queries))
    del bits
    files = folder / f"{kind}.hashes", folder / f"{kind}.questions"
    for path, lines in zip(files, (hashes, questions)):
        path.write_text("\n".join(lines) + "\n")
    before, start = resident_mib(), time.perf_counter()
    index = PDQIndex(entries=[(text, number) for number, text in enumerate(hashes)])
    built = {"build_s": time.perf_counter() - start, "index_mib": resident_mib() - before}
    ask_peer(index, questions[:10])
    ratios = {"wall_s": [], "cpu_s": []}
    for round_number in range(options.rounds):
        peer = ask_peer(index, questions) | built
        hub = json.loads(subprocess.check_output([options.program, *map(str, files)]))
        for name, row in ("threatexchange", peer), ("clearinghouse", hub):
            rate = row["queries"] / row["wall_s"]
            print(json.dumps({"op": "near", "set": kind, "hashes": options.hashes, "peer": name, "round": round_number,
                              "rate_per_s": round(rate, 1), "cpu_us_per_query": round(row["cpu_s"] / row["queries"] * 1e6, 1)} | row), flush=True)
        if peer["found"] != hub["found"]:
            sys.exit(f"{kind}: {peer['found']} found by threatexchange, {hub['found']} by the hub")
        for measure, all_rounds in ratios.items():
            all_rounds.append(peer[measure] / hub[measure])
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--program", default=str(root / "target/release/examples/near_queries"))
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for kind in "uniform", "clustered":
            for measure, all_rounds in run(kind, options, Path(folder)).items():
                name = {"wall_s": "wall clock", "cpu_s": "processor time"}[measure]
                low, middle, high = min(all_rounds), statistics.median(all_rounds), max(all_rounds)
                print(f"{kind}, {options.hashes} hashes: {middle:.0f} times as many a second by {name} ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    main()
