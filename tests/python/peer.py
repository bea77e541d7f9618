"""A peer made of libzmq, for tests: one JSON command per line in, one JSON answer per line out.

The methods of `Peer` are the commands; `tests/src/peer.rs` is the other end. Octets travel as
strings of the characters U+0000 to U+00FF. Whatever goes wrong is the answer {"error": ...}: a
test that waits for something else fails with it.
"""

import json
import select
import struct
import sys

import zmq
from zmq.auth.thread import ThreadAuthenticator

# Longer than anything here takes, shorter than the other end waits: so the error names the socket.
PATIENCE_MS = 20_000


def octets(text):
    return text.encode("latin-1")


def text(octets):
    return octets.decode("latin-1")


def read_traffic(path):
    """The messages that both sides know: counts and lengths are 32 bits, big-endian."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0

    def number():
        nonlocal at
        at += 4
        return struct.unpack_from(">I", data, at - 4)[0]

    def frame():
        nonlocal at
        length = number()
        at += length
        return data[at - length : at]

    return [[frame() for _ in range(number())] for _ in range(number())]


def check(received, index, expected):
    if received != expected:
        lengths = [len(frame) for frame in received], [len(frame) for frame in expected]
        raise ValueError(f"message {index} is not the one that was sent: {lengths}")


class AllowList:
    """Who may connect to this peer's CURVE servers, by key in Z85."""

    def __init__(self):
        self.keys = set()

    def callback(self, _domain, key):
        return text(key) in self.keys


class Peer:
    def __init__(self):
        self.context = zmq.Context()
        self.sockets = {}
        self.monitors = {}
        self.traffic = []
        self.allowed = AllowList()
        # Without it libzmq admits every key.
        self.authenticator = ThreadAuthenticator(self.context)
        self.authenticator.start()
        self.authenticator.configure_curve_callback(credentials_provider=self.allowed)

    # The policy, and what is sent in bulk.

    def allow(self, keys=(), users=None):
        self.allowed.keys = set(keys)
        self.authenticator.configure_plain(passwords=users or {})

    def load_traffic(self, path):
        self.traffic = read_traffic(path)
        return len(self.traffic)

    # Sockets by name.

    def open(self, socket, type, bind=None, connect=None, options=None):
        made = self.context.socket(getattr(zmq, type))
        made.set(zmq.LINGER, 0)
        made.set(zmq.SNDHWM, 0)
        made.set(zmq.RCVHWM, 0)
        made.set(zmq.SNDTIMEO, PATIENCE_MS)
        made.set(zmq.RCVTIMEO, PATIENCE_MS)
        for name, value in (options or {}).items():
            made.set(getattr(zmq, name), octets(value) if isinstance(value, str) else value)
        monitor = made.get_monitor_socket()
        monitor.set(zmq.RCVTIMEO, PATIENCE_MS)
        self.sockets[socket], self.monitors[socket] = made, monitor
        if connect:
            made.connect(connect)
            return connect
        made.bind(bind)
        return text(made.get(zmq.LAST_ENDPOINT).rstrip(b"\0"))

    def close(self, socket):
        made = self.sockets.pop(socket)
        # While its monitor can still be written to: libzmq would wait for a reader.
        made.disable_monitor()
        made.close()
        self.monitors.pop(socket).close()

    def bind(self, socket, endpoint):
        """Binds; whether it worked."""
        try:
            self.sockets[socket].bind(endpoint)
        except zmq.ZMQError:
            return False
        return True

    def unbind(self, socket, endpoint):
        self.sockets[socket].unbind(endpoint)

    def subscribe(self, socket, prefix):
        self.sockets[socket].subscribe(octets(prefix))

    def unsubscribe(self, socket, prefix):
        self.sockets[socket].unsubscribe(octets(prefix))

    def send(self, socket, message):
        self.sockets[socket].send_multipart([octets(frame) for frame in message])

    def receive(self, socket, count=1):
        made = self.sockets[socket]
        return [[text(frame) for frame in made.recv_multipart()] for _ in range(count)]

    def waiting(self, socket):
        """Whether a message is there now."""
        return bool(self.sockets[socket].poll(0))

    # The traffic.

    def send_traffic(self, socket):
        made = self.sockets[socket]
        for message in self.traffic:
            made.send_multipart(message)

    def receive_traffic(self, socket):
        made = self.sockets[socket]
        for index, expected in enumerate(self.traffic):
            check(made.recv_multipart(), index, expected)
        return len(self.traffic)

    def exchange_traffic(self, socket):
        """Both ways at once: without high-water marks sending does not wait."""
        self.send_traffic(socket)
        return self.receive_traffic(socket)

    def request_traffic(self, socket):
        made = self.sockets[socket]
        for index, expected in enumerate(self.traffic):
            made.send_multipart(expected)
            check(made.recv_multipart(), index, expected)
        return len(self.traffic)

    def echo_traffic(self, socket, envelope=0):
        """Sends each message back; the first `envelope` frames say to whom."""
        made = self.sockets[socket]
        for index, expected in enumerate(self.traffic):
            message = made.recv_multipart()
            check(message[envelope:], index, expected)
            made.send_multipart(message)
        return len(self.traffic)

    def knock(self, socket):
        """Sends empty messages until the next command is there: a PUB is told of subscriptions
        by nobody, so the subscriber has to say that it hears."""
        while not select.select([sys.stdin], [], [], 0.001)[0]:
            self.sockets[socket].send(b"")

    def load(self, socket):
        """Sends and receives without a pause until the next command is there; how many came."""
        made, received = self.sockets[socket], 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            try:
                made.send(b"load", zmq.DONTWAIT)
            except zmq.Again:
                made.poll(1)
            while made.poll(0):
                made.recv()
                received += 1
        return received

    # What libzmq says of its links.

    def events(self, socket):
        """All events since the last look."""
        monitor, seen = self.monitors[socket], []
        while monitor.poll(0):
            seen.append(self.event(monitor))
        return seen

    def take_events(self, socket, count):
        """The next `count` events."""
        return [self.event(self.monitors[socket]) for _ in range(count)]

    def await_event(self, socket, name):
        """The first event of that name, or of any name where one of its kind ends the wait."""
        while True:
            event = self.event(self.monitors[socket])
            if event["name"] == name:
                return event

    @staticmethod
    def event(monitor):
        number, value = struct.unpack("=HI", monitor.recv_multipart()[0])
        return {"name": zmq.Event(number).name, "value": value}


def main():
    peer = Peer()
    print(json.dumps({"ready": zmq.zmq_version()}), flush=True)
    # Not an iteration over the file: its read-ahead would hide a waiting line from `select`.
    while line := sys.stdin.buffer.raw.readline():
        command = json.loads(line)
        try:
            answer = {"answer": getattr(peer, command.pop("do"))(**command)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    # The other end is gone: what libzmq still holds is of no use to anybody.
    sys.stdout.flush()
    raise SystemExit(0)


main()
