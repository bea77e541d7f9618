"""libzmq's listeners for `tests/src/handshakes/`: a ROUTER for each mechanism, that answers all.

The first line in says whom to admit, the first line out where the listeners are; then it serves
until its input ends.
"""

import json
import sys

import zmq
from zmq.utils import z85

ZAP = "inproc://zeromq.zap.01"


def octets(text):
    return text.encode("latin-1")


def listener(context, options):
    made = context.socket(zmq.ROUTER)
    made.set(zmq.LINGER, 0)
    made.set(zmq.SNDHWM, 0)
    made.set(zmq.RCVHWM, 0)
    made.set(zmq.BACKLOG, 4096)
    made.set(zmq.HANDSHAKE_IVL, 30_000)
    for option, value in options.items():
        made.set(option, value)
    made.bind("tcp://127.0.0.1:*")
    return made


def verdict(told, request):
    """RFC 27: version, id, domain, address, identity, mechanism, credentials."""
    mechanism, credentials = request[5], request[6:]
    admitted = {
        b"PLAIN": [octets(told["user"]), octets(told["password"])],
        b"CURVE": [z85.decode(octets(told["client"]))],
    }
    known = credentials == admitted.get(mechanism)
    status, text = (b"200", b"OK") if known else (b"400", b"no")
    return [b"1.0", request[1], status, text, octets(told["user"]), b""]


def drain(socket, answer):
    while True:
        try:
            message = socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return
        try:
            socket.send_multipart([message[0], answer], zmq.DONTWAIT)
        except zmq.ZMQError:
            pass  # It has gone again.


def main():
    told = json.loads(sys.stdin.readline())
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 65_000)
    zap = context.socket(zmq.REP)
    zap.bind(ZAP)
    options = [
        {},
        {zmq.PLAIN_SERVER: 1},
        {zmq.CURVE_SERVER: 1, zmq.CURVE_SECRETKEY: octets(told["secret"])},
    ]
    routers = [listener(context, each) for each in options]
    ends = [router.get(zmq.LAST_ENDPOINT).rstrip(b"\0").decode() for router in routers]
    print(json.dumps(ends), flush=True)

    answer = octets(told["answer"])
    poller = zmq.Poller()
    for socket in [zap, *routers]:
        poller.register(socket, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    while True:
        for socket, _events in poller.poll():
            if socket is zap:
                zap.send_multipart(verdict(told, zap.recv_multipart()))
            elif socket in routers:
                drain(socket, answer)
            else:
                # The other end is gone: what libzmq still holds is of no use to anybody.
                raise SystemExit(0)


main()
