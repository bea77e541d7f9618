"""libzmq under a script: one JSON step per line in, one JSON answer per line out, in any order.

`tests/src/differential/theirs.rs` is the other end. A step names its scenario; each scenario has a
thread and contexts of its own, so that many wait at the same time. The verbs are the methods of
`Scenario`. Octets travel as strings of the characters U+0000 to U+00FF. An error of libzmq's is an
answer: the word for its number. Anything else that goes wrong is a bug of the script: {"bug": ...}.
"""

import errno
import json
import queue
import struct
import sys
import threading
import time

import zmq
from zmq.auth.thread import ThreadAuthenticator

# Longer than anything takes on a busy machine; only what goes wrong takes as long.
PATIENCE = 5.0

WORDS = {
    zmq.EAGAIN: "again",
    zmq.EFSM: "fsm",
    zmq.EHOSTUNREACH: "unreachable",
    zmq.EINVAL: "invalid",
    zmq.ETERM: "terminated",
    zmq.ENOTSUP: "unsupported",
    zmq.EADDRINUSE: "in-use",
    zmq.EADDRNOTAVAIL: "not-available",
    errno.ENODEV: "no-device",
    zmq.EPROTONOSUPPORT: "no-transport",
    zmq.ENOCOMPATPROTO: "incompatible",
    zmq.ENOTSOCK: "closed",
    errno.ENOENT: "no-endpoint",
    errno.ENAMETOOLONG: "too-long",
    errno.EACCES: "denied",
    errno.ENOMEM: "no-memory",
}


def octets(text):
    return text.encode("latin-1")


def text(octets):
    return octets.decode("latin-1")


def option(name):
    """An option by libzmq's name, and whether its values are octets."""
    found = getattr(zmq.SocketOption, name.upper())
    return found, found._opt_type.name == "bytes"


def word(error):
    return WORDS.get(error.errno) or errno.errorcode.get(error.errno, str(error.errno))


class Links:
    """What a socket's monitor told: the names of its events, and how many links are up."""

    def __init__(self, socket):
        # Telling that a bind failed makes libzmq forget why.
        told = zmq.EVENT_ALL & ~zmq.EVENT_BIND_FAILED
        self.monitor = socket.get_monitor_socket(told)
        self.names, self.up, self.refused = [], 0, 0

    def next(self, seconds):
        if not self.monitor.poll(max(0, int(seconds * 1000))):
            return None
        number, _value = struct.unpack("=HI", self.monitor.recv_multipart()[0])
        name = zmq.Event(number).name
        if name == "HANDSHAKE_SUCCEEDED":
            self.up += 1
        elif name.startswith("HANDSHAKE_FAILED"):
            self.refused += 1
        elif name == "DISCONNECTED" and self.refused:
            self.refused -= 1
        elif name == "DISCONNECTED" and self.up:
            self.up -= 1
        self.names.append(name)
        return name


class AllowList:
    """One client's key."""

    def __init__(self, key):
        self.key = octets(key)

    def callback(self, _domain, key):
        return key == self.key


class Scenario:
    def __init__(self, reply):
        self.reply, self.steps = reply, queue.Queue()
        self.authenticators = []
        self.contexts, self.sockets, self.links, self.started = {}, {}, {}, {}

    def run(self):
        self.thread = threading.current_thread()
        while (step := self.steps.get()) is not None:
            self.reply(step["id"], self.perform(step["socket"], step["verb"], step["args"]))
        for authenticator in self.authenticators:
            authenticator.stop()
        for name, made in self.sockets.items():
            self.links[name].monitor.close(0)
            made.close(0)
        for context in self.contexts.values():
            threading.Thread(target=context.term, daemon=True).start()

    def perform(self, socket, verb, args):
        try:
            return getattr(self, verb)(socket, *args)
        except zmq.ZMQError as error:
            return word(error)
        except Exception as error:
            return {"bug": f"{type(error).__name__}: {error}"}

    def context(self, name):
        if name not in self.contexts:
            self.contexts[name] = zmq.Context()
        return self.contexts[name]

    # Sockets by name.

    def open(self, socket, kind, context, *options):
        made = self.context(context).socket(getattr(zmq, kind))
        try:
            self.options(made, options)
        except zmq.ZMQError:
            made.close(0)
            raise
        if socket in self.sockets:
            self.sockets[socket].close()
        self.sockets[socket], self.links[socket] = made, Links(made)
        return "ok"

    def options(self, made, options):
        for name, value in zip(options[::2], options[1::2]):
            if name == "clear_text":
                continue  # Ours alone: libzmq does not ask.
            number, as_octets = option(name)
            made.setsockopt(number, octets(value) if as_octets else int(value))

    def set(self, socket, name, value):
        self.options(self.sockets[socket], (name, value))
        return "ok"

    def get(self, socket, name):
        number, as_octets = option(name)
        value = self.sockets[socket].getsockopt(number)
        return text(value.rstrip(b"\0")) if isinstance(value, bytes) else str(value)

    def bind(self, socket, endpoint):
        self.sockets[socket].bind(endpoint)
        return "ok"

    def connect(self, socket, endpoint):
        self.sockets[socket].connect(endpoint)
        return "ok"

    def connect_as(self, socket, endpoint, id):
        self.sockets[socket].setsockopt(zmq.CONNECT_ROUTING_ID, octets(id))
        return self.connect(socket, endpoint)

    def unbind(self, socket, endpoint):
        self.sockets[socket].unbind(endpoint)
        return "ok"

    def disconnect(self, socket, endpoint):
        self.sockets[socket].disconnect(endpoint)
        return "ok"

    def last(self, socket):
        return self.get(socket, "LAST_ENDPOINT")

    def close(self, socket):
        made = self.sockets.pop(socket)
        # While its monitor can still be written to: libzmq would wait for a reader.
        made.disable_monitor()
        made.close()
        self.links.pop(socket).monitor.close()
        return "ok"

    def subscribe(self, socket, prefix):
        self.sockets[socket].setsockopt(zmq.SUBSCRIBE, octets(prefix))
        return "ok"

    def unsubscribe(self, socket, prefix):
        self.sockets[socket].setsockopt(zmq.UNSUBSCRIBE, octets(prefix))
        return "ok"

    # Messages. Asking for its events makes a socket look at its mailbox, which it otherwise does
    # when it is used, and at most once in a millisecond: a disconnected link ends no sooner.

    def up_to_date(self, socket):
        """The socket; what `start` has under way is in the hands of another thread."""
        if threading.current_thread() is not self.thread:
            return self.sockets[socket]
        for name, made in self.sockets.items():
            try:
                if name not in self.started:
                    made.getsockopt(zmq.EVENTS)
            except zmq.ContextTerminated:
                pass
        return self.sockets[socket]

    def send(self, socket, milliseconds, *frames):
        made = self.up_to_date(socket)
        message = [octets(frame) for frame in frames]
        if milliseconds == 0:
            made.send_multipart(message, zmq.DONTWAIT)
        else:
            if milliseconds is not None:
                made.setsockopt(zmq.SNDTIMEO, milliseconds)
            made.send_multipart(message)
        return "ok"

    def recv(self, socket, milliseconds):
        made = self.up_to_date(socket)
        end = time.monotonic() + (milliseconds or 0) / 1000
        while True:
            try:
                flags = 0 if milliseconds is None else zmq.DONTWAIT
                message = made.recv_multipart(flags)
                return {"message": [text(frame) for frame in message]}
            except zmq.Again:
                if milliseconds is None or time.monotonic() >= end:
                    return "nothing"
            made.poll(10)
            self.up_to_date(socket)

    def burst(self, socket, count, *prefix):
        """Sends numbers, each after the frames of `prefix`, until one is refused."""
        made = self.up_to_date(socket)
        for number in range(1, count + 1):
            try:
                frames = [octets(frame) for frame in prefix] + [b"%d" % number]
                made.send_multipart(frames, zmq.DONTWAIT)
            except zmq.ZMQError as error:
                return f"{number - 1} then {word(error)}"
        return f"all {count}"

    def drain(self, socket, milliseconds):
        """Receives until nothing comes for so long."""
        made, messages = self.up_to_date(socket), []
        made.setsockopt(zmq.RCVTIMEO, milliseconds)
        try:
            while True:
                messages.append([text(frame) for frame in made.recv_multipart()])
        except zmq.Again:
            return {"messages": messages}

    # Links.

    def wait(self, socket, count):
        """Waits until that many links are up."""
        links, end = self.links[socket], time.monotonic() + PATIENCE
        while links.up != count:
            if links.next(0.01) is None and time.monotonic() > end:
                return f"{links.up} links"
            self.up_to_date(socket)
        # The end of a link is told before its pipe has gone, which takes both threads some turns.
        for _ in range(5 if links.names[-1:] == ["DISCONNECTED"] else 0):
            time.sleep(0.02)
            self.up_to_date(socket)
        self.up_to_date(socket)
        return "ok"

    def until(self, socket, last):
        """The events up to one."""
        links, end = self.links[socket], time.monotonic() + PATIENCE
        while last not in links.names:
            if links.next(0.01) is None and time.monotonic() > end:
                return " ".join([*links.names, "nothing"])
            self.up_to_date(socket)
        at = links.names.index(last) + 1
        seen, links.names = links.names[:at], links.names[at:]
        return " ".join(seen)

    def admit(self, _socket, mechanism, *words):
        """The main context's policy: who is admitted, and nobody else."""
        authenticator = ThreadAuthenticator(self.context("main"))
        authenticator.start()
        self.authenticators.append(authenticator)
        if mechanism == "plain":
            authenticator.configure_plain(passwords=dict([words]))
        else:
            authenticator.configure_curve_callback(credentials_provider=AllowList(words[0]))
        return "ok"

    # What goes on while the scenario does.

    def start(self, socket, verb, *args):
        answer = []
        work = threading.Thread(
            target=lambda: answer.append(self.perform(socket, verb, args)), daemon=True
        )
        self.started[socket] = (work, answer)
        work.start()
        # It is certainly under way when it has had the time to be.
        work.join(0.05)
        return "done" if answer else "ok"

    def done(self, socket, milliseconds):
        work, answer = self.started[socket]
        work.join(milliseconds / 1000)
        if answer:
            del self.started[socket]
        return answer[0] if answer else "waiting"

    def terminate(self, _socket, context):
        """Ends the context under its sockets, which stay to be closed."""
        ended = self.contexts.pop(context)
        canary = ended.socket(zmq.PAIR)
        threading.Thread(target=ended.term, daemon=True).start()
        try:
            while True:
                canary.getsockopt(zmq.EVENTS)
                time.sleep(0.001)
        except zmq.ContextTerminated:
            canary.close(0)
        return "ok"

    def shutdown(self, _socket, context, milliseconds):
        """Closes all sockets and waits for their lingering: whether that took so long."""
        began = time.monotonic()
        for socket in list(self.sockets):
            self.close(socket)
        self.contexts.pop(context).term()
        waited = (time.monotonic() - began) * 1000 >= milliseconds
        return "waited" if waited else "at once"


def main():
    scenarios, writing = {}, threading.Lock()

    def reply(number, answer):
        with writing:
            print(json.dumps({"id": number, "answer": answer}), flush=True)

    reply(0, zmq.zmq_version())
    for line in sys.stdin:
        step = json.loads(line)
        name = step["scenario"]
        if step["verb"] == "end":
            if name in scenarios:
                scenarios.pop(name).steps.put(None)
            continue
        if name not in scenarios:
            scenarios[name] = Scenario(reply)
            threading.Thread(target=scenarios[name].run, daemon=True).start()
        scenarios[name].steps.put(step)


main()
