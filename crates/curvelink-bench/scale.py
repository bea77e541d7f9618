#!/usr/bin/env python3
"""How the cost of a message and of a link grows: the tables and the chart of docs/performance.md.

    cargo build --release -p curvelink-bench
    crates/curvelink-bench/scale.py                           # all of it, about five minutes
    crates/curvelink-bench/scale.py --only sizes --quick      # a look at one part
    crates/curvelink-bench/scale.py --comparison FILE.json    # what others measured, as a table
    crates/curvelink-bench/scale.py --write                   # and into the document

It drives `curvelink-peer`, both ends of which say what they did, and prints Markdown. Rounds are
interleaved and a figure is the median over them. A run of which others had taken too much of the
machine is tried again, and the quietest try counts. Nothing is random, so there is no seed.
"""

import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # the source tree stays as it is

import chart
import comparison

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/performance.md"
CHART = ROOT / "docs/performance.svg"
MECHANISMS = ("NULL", "CURVE")
SIZES = [16 * 4**step for step in range(11)]  # 16 octets to 16 MiB
SUBSCRIBERS = (1, 10, 100, 1000)
LINKS = (100, 1000, 10_000)
LINKS_OF_A_DIALLER = 2500
QUIET = 3  # seconds after which a link has long given back what it had for messages
PATIENCE_MS = 60_000
NOISE = 0.08  # of the machine, from where on a run is tried again


def main():
    options = arguments()
    if options.comparison:
        show(options, "comparison", comparison.table(json.loads(options.comparison.read_text())))
        return
    # Each link is a descriptor.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    parts = {"sizes": sizes, "peers": peers, "idle": idle}
    for name, measure in parts.items():
        if options.only in (None, name):
            show(options, name, f"{measure(options)}\n\n{origin(options)}")


def show(options, name, text):
    """Prints a part, and puts it in its place in the document if that was asked for."""
    print(text + "\n", flush=True)
    if options.write:
        begin, end = f"<!-- table: {name} -->\n", f"<!-- end of table: {name} -->\n"
        before, rest = DOCUMENT.read_text().split(begin)
        _, after = rest.split(end)
        DOCUMENT.write_text(before + begin + text + "\n" + end + after)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, default=ROOT / "target/release/curvelink-peer", metavar="PROGRAM")
    parser.add_argument("--only", choices=("sizes", "peers", "idle"))
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="what a throughput run aims at")
    parser.add_argument("--tries", type=int, default=4, help="of one run, where others disturb it")
    parser.add_argument("--write", action="store_true", help="put the tables and the chart into docs/")
    parser.add_argument("--comparison", type=Path, metavar="FILE.json", help="print such a file as a table, measure nothing")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.tries = 1, 0.2, 1
    if not options.comparison and not os.access(options.peer, os.X_OK):
        parser.error(f"{options.peer}: not there: cargo build --release -p curvelink-bench")
    return options


def origin(options):
    """What was run, of which state of the source, and where."""
    words = [str(Path(__file__).relative_to(ROOT)), *sys.argv[1:]]
    model = next(line.split(":")[1].strip() for line in output("lscpu").splitlines() if line.startswith("Model name"))
    # The last commit that touched what is measured, which the document itself is no part of.
    measured = ("--", "crates/curvelink", "crates/curvelink-proto")
    commit = output("git", "-C", str(ROOT), "log", "-1", "--format=%h", *measured)
    if output("git", "-C", str(ROOT), "status", "--porcelain", *measured):
        commit += " and changes"
    facts = [
        f"`{' '.join(words)}`",
        f"commit {commit}, {output('rustc', '-V')}, {time.strftime('%Y-%m-%d')}",
        f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}",
    ]
    return "; ".join(facts) + "."


def output(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


# --- what is measured -------------------------------------------------------------------------


def sizes(options):
    """PUSH to PULL over tcp, by the size of a message."""
    cells = {(size, mechanism): Cell() for size in SIZES for mechanism in MECHANISMS}
    for _ in range(options.rounds):
        for (size, mechanism), cell in cells.items():
            count = cell.next_count(options.seconds, first=min(200_000, 2**28 // max(size, 512)))
            cell.add(options, lambda: one_to_one(options, size, mechanism, count))
    head = ["message", *(f"{m}, {what}" for m in MECHANISMS for what in ("msg/s", "MB/s", "CPU s per M"))]
    rows = []
    for size in SIZES:
        row = [octets(size)]
        for mechanism in MECHANISMS:
            cell = cells[size, mechanism]
            row += [figure(cell.rate()), figure(cell.rate() * size / 1e6), figure(cell.cpu())]
        rows.append(row)
    if options.write:
        lines = {m: [(size, cells[size, m].rate()) for size in SIZES] for m in MECHANISMS}
        CHART.write_text(chart.draw(lines))
    return f"{table(head, rows)}\n\n{quality(options, cells)}"


def peers(options):
    """One PUB to many SUBs over tcp, 64 octets; all the subscribers are in one process."""
    cells = {subscribers: Cell() for subscribers in SUBSCRIBERS}
    for _ in range(options.rounds):
        for subscribers, cell in cells.items():
            # Memory is bounded by the octets that wait for each subscriber, not by messages.
            most = 8_000_000 // subscribers
            delivered = cell.next_count(options.seconds, first=300_000)
            count = max(1000, min(delivered // subscribers, most))
            cell.add(options, lambda: one_to_many(options, subscribers, count))
    head = ["subscribers", "delivered/s", "CPU s per M delivered"]
    rows = [[str(n), figure(cell.rate()), figure(cell.cpu())] for n, cell in cells.items()]
    return f"{table(head, rows)}\n\n{quality(options, cells)}"


def idle(options):
    """Links over which one message of 8 octets came, and then nothing."""
    head = ["links", *(f"{m}, KiB each {when}" for m in MECHANISMS for when in ("at once", f"after {QUIET} s"))]
    rows = []
    for links in LINKS[:2] if options.quick else LINKS:
        row = [str(links)]
        for mechanism in MECHANISMS:
            row += [f"{each / 1024:.1f}" for each in quiet_links(options, links, mechanism)]
        rows.append(row)
    return table(head, rows)


class Cell:
    """The runs of one cell of a table."""

    def __init__(self):
        self.runs = []

    def add(self, options, measure):
        """The quietest of some tries, or the first that is quiet enough."""
        tries = []
        while not tries or len(tries) < options.tries and tries[-1]["others"] > NOISE:
            time.sleep(len(tries))
            with Others() as others:
                tries.append(measure())
            tries[-1]["others"] = others.share
        self.runs.append(min(tries, key=lambda run: run["others"]))

    def next_count(self, seconds, first):
        """How many messages take about so long, by the run before."""
        if not self.runs:
            return first
        return int(max(20, min(self.runs[-1]["msgs_per_s"] * seconds, 20_000_000)))

    def rate(self):
        return statistics.median(run["msgs_per_s"] for run in self.runs)

    def cpu(self):
        """CPU seconds of both processes, their start included, for a million messages."""
        return statistics.median(run["cpu"] / run["count"] * 1e6 for run in self.runs)


# --- how it is driven -------------------------------------------------------------------------


def one_to_one(options, size, mechanism, count):
    with Ends(options, mechanism) as ends:
        receiver = ends.start("thr-recv", "--size", size, "--count", count)
        receiver.expect("READY")
        ends.start("thr-send", "--size", size, "--count", count)
        return ends.finish(receiver.result())


def one_to_many(options, subscribers, count):
    words = ("--size", 64, "--count", count, "--subs", subscribers)
    with Ends(options, "NULL") as ends:
        publisher = ends.start("pub", *words)
        publisher.expect("READY")
        receiver = ends.start("sub", *words)
        receiver.expect("SUBSCRIBED")
        publisher.say("GO")
        return ends.finish(receiver.result())


def quiet_links(options, links, mechanism):
    """What each link adds to the listener's resident memory, at once and later, in octets."""
    with Ends(options, mechanism) as ends:
        listener = ends.start("conns-listen", "--n", links, "--stay")
        listener.expect("READY")
        before = listener.resident()
        for first in range(0, links, LINKS_OF_A_DIALLER):
            ends.start("conns-dial", "--n", min(LINKS_OF_A_DIALLER, links - first))
        listener.result()
        at_once = listener.resident()
        time.sleep(QUIET)
        return [(resident - before) / links for resident in (at_once, listener.resident())]


class Ends:
    """Processes that meet at one endpoint."""

    def __init__(self, options, mechanism):
        self.program = str(options.peer)
        self.words = ["--endpoint", f"tcp://127.0.0.1:{free_port()}", "--idle-ms", str(PATIENCE_MS)]
        self.words += ["--curve"] if mechanism == "CURVE" else []
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.started:
            process.end()

    def start(self, command, *words):
        process = Process([self.program, command, *self.words, *map(str, words)])
        self.started.append(process)
        return process

    def finish(self, result):
        """The result, with the CPU seconds of all."""
        if result["lost"]:
            sys.exit(f"scale.py: {result['lost']} messages were lost: {result}")
        result["cpu"] = sum(process.end() for process in self.started)
        return result


class Process:
    def __init__(self, words):
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.cpu = None

    def expect(self, word):
        line = self.child.stdout.readline().strip()
        if line != word:
            sys.exit(f"scale.py: {' '.join(self.child.args)}: {line!r}, not {word}")

    def result(self):
        line = self.child.stdout.readline()
        result = json.loads(line or "{}")
        if not result or "error" in result:
            sys.exit(f"scale.py: {' '.join(self.child.args)}: {line!r}")
        return result

    def say(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def resident(self):
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def end(self):
        """Lets the process leave; the CPU seconds that it took."""
        if self.cpu is None:
            with contextlib.suppress(BrokenPipeError):
                self.child.stdin.close()
            _, status, usage = os.wait4(self.child.pid, 0)
            self.child.returncode = os.waitstatus_to_exitcode(status)
            self.child.stdout.close()
            self.cpu = usage.ru_utime + usage.ru_stime
        return self.cpu


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Others:
    """How much of the machine others took meanwhile."""

    def __enter__(self):
        self.begun = self.now()
        return self

    def __exit__(self, *_):
        wall, every, own = (after - before for after, before in zip(self.now(), self.begun))
        self.share = max(0.0, every - own) / (wall * os.cpu_count())

    @staticmethod
    def now():
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        user, nice, system, _idle, _wait, irq, softirq, steal = (int(f) / os.sysconf("SC_CLK_TCK") for f in fields)
        mine = os.times()
        own = mine.user + mine.system + mine.children_user + mine.children_system
        return time.monotonic(), user + nice + system + irq + softirq + steal, own


# --- how it is shown --------------------------------------------------------------------------


def quality(options, cells):
    shares = [run["others"] for cell in cells.values() for run in cell.runs]
    others = f"others took {statistics.median(shares):.0%} of the machine in the median run, {max(shares):.0%} at most"
    return f"Rounds, of which the figures are medians: {options.rounds}; {others}; no seed: nothing is random."


def table(head, rows):
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def octets(size):
    for power, unit in ((20, "MiB"), (10, "KiB")):
        if size >= 2**power:
            return f"{size >> power} {unit}"
    return f"{size} B"


def figure(value):
    """Three digits that count."""
    for least, unit in ((1e6, "M"), (1e4, "k")):
        if value >= least:
            return figure(value / (1e3 if unit == "k" else 1e6)) + f" {unit}"
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


if __name__ == "__main__":
    main()
