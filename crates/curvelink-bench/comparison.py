"""What several libraries did in the same minutes, as a table.

The file says, by the name of a cell and of a program: `median` (messages or connections a second;
microseconds where the cell's name begins with `lat`), `cpu_per_m` (CPU seconds for a million
messages), `lost` (messages). A program that has no median did not finish.
"""

# Ours, the one that all are compared with, and those that hand out no messages.
OURS, BLOCKING, REFERENCE = "curvelink", "curvelink-blocking", "libzmq"
SEALED = "-curve"
FLOORS = ("rawtcp", "rawtcp-blocking")

# The longest beginning of a cell's name that is here tells what limits it.
LIMITS = {
    "thr-": "one core per end: what is done for each message (decode, hand over, receive)",
    "thr-tcp-16KiB": "the kernel's copies",
    "thr-tcp-64KiB": "the kernel's copies",
    "thr-tcp-1MiB": "the kernel's copies, which no longer fit the cache",
    "thr-ipc-16KiB": "the kernel's copies",
    "thr-ipc-64KiB": "the kernel's copies",
    "thr-ipc-1MiB": "the kernel's copies, which no longer fit the cache",
    "thr-inproc-": "one lock and one wake for each batch; two threads or one take turns",
    "curve-": "sealing: one core per end, the cipher above all from 1 KiB on",
    "lat-": "two wakes by the system, two reads, two writes",
    "lat-inproc-": "the change from one task to the other, or one thread to the other",
    "curve-lat-": "the same, and four boxes",
    "pub-": "the publisher's one core: a copy and a frame header for each subscriber",
    "conns-": "accept, connect and two greetings; the system's part is most of it",
    "curve-conns-": "X25519: three agreements and one key on each side",
}


def table(file):
    head = [
        "cell", OURS, BLOCKING, REFERENCE, "best of the others", f"to {REFERENCE}", "to that best", "to the floor",
        f"CPU to {REFERENCE}", "what limits it",
    ]
    cells = file["cells"]
    rows = [row(cell, cells[cell], cells.get(cell.removesuffix(SEALED), {})) for cell in cells]
    lines = [head, ["---"] + ["---:"] * (len(head) - 2) + ["---"], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def row(cell, programs, in_clear):
    runs = {name: run for name, run in programs.items() if isinstance(run, dict) and run.get("median")}
    low = cell.startswith("lat")
    speed = {name: 1 / run["median"] if low else run["median"] for name, run in runs.items()}
    others = [name for name in runs if name not in (OURS, BLOCKING, *FLOORS) and not runs[name].get("lost")]
    best = max(others, key=speed.get, default=None)
    floor = max((name for name in FLOORS if name in speed), key=speed.get, default=None)
    shown = [value(runs.get(name), low) for name in (OURS, BLOCKING, REFERENCE)]
    ratios = [ratio(speed.get(OURS), speed.get(other)) for other in (REFERENCE, best, floor)]
    clear = in_clear.get(REFERENCE, {}).get("median")
    if cell.startswith("thr") and cell.endswith(SEALED) and clear:
        ratios[0] += f" (in clear: {ratio(speed.get(OURS), clear)})"
    cpu = [runs.get(name, {}).get("cpu_per_m") for name in (OURS, REFERENCE)]
    best_shown = f"{value(runs.get(best), low)} ({best})" if best else "–"
    return [cell, *shown, best_shown, *ratios, ratio(*cpu), limit(cell)]


def value(run, low):
    if run is None:
        return "–"
    lost = ", **loses**" if run.get("lost") else ""
    if low:
        return f"{run['median']:.1f} µs{lost}"
    for least, unit in ((1e6, " M"), (1e3, " k"), (1, "")):
        if run["median"] >= least:
            return f"{run['median'] / least:.3g}{unit}{lost}"
    return f"{run['median']:.3g}{lost}"


def ratio(ours, other):
    return f"{ours / other:.2f}" if ours and other else "–"


def limit(cell):
    key = f"curve-{cell}" if cell.endswith(SEALED) else cell
    known = [start for start in LIMITS if key.startswith(start)]
    return LIMITS[max(known, key=len)] if known else ""
