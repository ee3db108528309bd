"""Counts the instructions of the hot paths (`benches/instructions.rs`, under callgrind) and holds them against the record in
`benches/instructions.json`: one that grew by more than 5 % fails. Whoever means the growth changes the record in the same commit:

    python3 benches/guard.py             # compares
    python3 benches/guard.py --record    # writes the record anew

The counts are of this build (`benches/guard.toml`), of the emulated processor that valgrind shows, and of one compiler: they are for
comparing with themselves and say nothing of time. The work's own counts vary by less than 0.1 % from run to run.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / "benches" / "instructions.json"

# A path may grow by so much before the record must say so.
GROWTH_MAX = 0.05

# Where callgrind begins to count and writes down what it counted: functions of instructions.rs.
BEGIN, END = "*counting_begins*", "*counting_ends*"

# Longest that the counted run may take: it takes a quarter of a minute on an idle machine.
SECONDS_MAX = 600


def build():
    """The path of the driver."""
    command = [os.environ.get("CARGO", "cargo"), "build", "--locked", "--config", "benches/guard.toml", "--bench", "instructions"]
    built = subprocess.run(
        [*command, "--message-format=json-render-diagnostics"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "instructions" and message.get("executable"):
            return message["executable"]
    sys.exit("guard: cargo built no driver")


def counts(driver):
    """Instructions per item of each section."""
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "counts"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--zero-before={BEGIN}", f"--dump-before={END}"]
        run = subprocess.run([*command, driver], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        if run.returncode != 0:
            sys.exit(f"guard: the driver failed:\n{run.stderr[-2000:]}")
        measured = {}
        for number, line in enumerate(run.stdout.splitlines(), start=1):
            section, items = line.split()
            # The sum over all threads; the "summary" above it counts the others from their start.
            totals = re.findall(r"^totals: (\d+)$", pathlib.Path(f"{out}.{number}").read_text(encoding="utf-8"), re.MULTILINE)
            measured[section] = round(int(totals[-1]) / int(items), 1)
        return measured


def versions():
    """What the counts depend on besides the code."""
    first = lambda *command: subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    return {"rustc": first("rustc", "--version"), "valgrind": first("valgrind", "--version")}


def compare(record, measured):
    """Prints each section; returns what is wrong."""
    wrong = []
    for section in sorted(record.keys() | measured.keys()):
        before, now = record.get(section), measured.get(section)
        if before is None or now is None:
            wrong.append(f"{section}: only {'measured' if before is None else 'in the record'}")
            continue
        change = now / before - 1
        print(f"{section:<18} {before:>12,.1f} {now:>12,.1f} {change:>+8.1%}")
        if change > GROWTH_MAX:
            wrong.append(f"{section} takes {change:.1%} more instructions than recorded: {now:,.0f} an item instead of {before:,.0f}")
    return wrong


def main():
    with_record = sys.argv[1:] == ["--record"]
    if sys.argv[1:] and not with_record:
        sys.exit(__doc__)
    measured, made_with = counts(build()), versions()
    if with_record:
        record = {"made_with": made_with, "instructions_per_item": measured}
        RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(f"guard: wrote {RECORD.relative_to(ROOT)}")
        return
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    wrong = compare(record["instructions_per_item"], measured)
    if wrong:
        if record["made_with"] != made_with:
            wrong.append(f"the record was made with {record['made_with']}, and this is {made_with}")
        wrong.append("if that is meant: `python3 benches/guard.py --record`, and commit the record with what changed it")
        sys.exit("\n".join(f"guard: {line}" for line in wrong))


if __name__ == "__main__":
    main()
