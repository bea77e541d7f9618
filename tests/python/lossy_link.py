"""Two network namespaces, and a link between them that loses, delays and reorders packets.

Usage: lossy_link.py NAME. Makes the namespaces NAME-a (10.213.0.1, 10.213.0.11) and NAME-b
(10.213.0.2, 10.213.0.12), says "ready", then takes one command from each line of its input:

    loss SHARE          of all packets, 0 to 1
    delay SECONDS       for every packet, and up to as much again at random
    cut                 nothing passes
    restore             everything does

At the end of its input it removes what it made: whoever started it may die as it likes.
"""

import fcntl
import heapq
import os
import random
import selectors
import shutil
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def end_of_link(name, side, addresses):
    """One end: a device whose packets come to us."""
    namespace, device = f"{name}-{side}", f"cl{os.getpid()}{side}"
    ip("netns", "add", namespace)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN_NO_PI))
    ip("link", "set", device, "netns", namespace)
    for address in addresses:
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", device)
    ip("-n", namespace, "link", "set", device, "up")
    ip("-n", namespace, "link", "set", "lo", "up")
    return tun


class Link:
    def __init__(self, tuns):
        self.tuns = tuns
        self.loss = self.delay = 0.0
        self.cut = False
        self.waiting = []
        self.count = 0

    def command(self, words):
        name, *value = words
        if name in ("loss", "delay"):
            setattr(self, name, float(value[0]))
        else:
            self.cut = name == "cut"

    def take(self, tun):
        """Packets on their way: who is overtaken by whom is left to chance."""
        other = self.tuns[1 - self.tuns.index(tun)]
        for _ in range(64):
            try:
                packet = os.read(tun, 65536)
            except BlockingIOError:
                return
            if self.cut or random.random() < self.loss:
                continue
            due = time.monotonic() + self.delay * (1 + random.random())
            self.count += 1
            heapq.heappush(self.waiting, (due, self.count, other, packet))

    def give(self):
        """Delivers what is due; how long until the next is."""
        while self.waiting:
            due, _, tun, packet = self.waiting[0]
            left = due - time.monotonic()
            if left > 0:
                return left
            heapq.heappop(self.waiting)
            if not self.cut:
                os.write(tun, packet)
        return None


def run(name):
    tuns = [
        end_of_link(name, "a", ["10.213.0.1", "10.213.0.11"]),
        end_of_link(name, "b", ["10.213.0.2", "10.213.0.12"]),
    ]
    link = Link(tuns)
    selector = selectors.DefaultSelector()
    for source in [sys.stdin.fileno(), *tuns]:
        selector.register(source, selectors.EVENT_READ)
    print("ready", flush=True)
    commands = b""
    while True:
        for key, _ in selector.select(link.give()):
            if key.fd != sys.stdin.fileno():
                link.take(key.fd)
                continue
            more = os.read(key.fd, 4096)
            if not more:
                return
            *lines, commands = (commands + more).split(b"\n")
            for line in lines:
                link.command(line.decode().split())


def main():
    name = sys.argv[1]
    try:
        run(name)
    finally:
        for side in "ab":
            subprocess.run(["ip", "netns", "del", f"{name}-{side}"], check=False)
            shutil.rmtree(f"/etc/netns/{name}-{side}", ignore_errors=True)


main()
