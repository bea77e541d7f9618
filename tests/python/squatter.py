"""Another user's program where a CURVE server is expected: says what a client told it, in hex.

squatter.py tcp | squatter.py ipc PATH
"""

import os
import socket
import sys

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\x01" + bytes(31)
WELCOME = b"\x07WELCOME" + bytes(160)

if sys.argv[1] == "tcp":
    listener = socket.create_server(("127.0.0.1", 0))
    where = str(listener.getsockname()[1])
else:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[2])
    os.chmod(sys.argv[2], 0o777)
    listener.listen()
    where = sys.argv[2]
print(os.getuid(), where, flush=True)

heard = b""
while len(heard) < 64 + 2 + 200:  # whoever only looks whether somebody listens is let go
    client, _ = listener.accept()
    heard = b""
    try:
        client.sendall(GREETING)
        while len(heard) < 64 + 2 + 200 and (octets := client.recv(4096)):
            heard += octets
    except ConnectionError:
        continue
client.sendall(bytes([4, len(WELCOME)]) + WELCOME)
while octets := client.recv(4096):
    heard += octets
print(heard.hex(), flush=True)
