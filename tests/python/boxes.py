"""Makes the boxes that curvelink's tests hold theirs against, with PyNaCl (libsodium).

Everything is derived from a label by SHA-256, so that a line needs no more than the length of the
message and the SHA-256 of the box, tag first:

    python boxes.py > crates/curvelink-proto/src/mechanism/curve/tests/boxes.txt
"""

from hashlib import sha256

from nacl.public import Box, PrivateKey

LENGTHS = [*range(0, 66), 127, 128, 129, 255, 256, 257, 511, 512, 513, 1000, 4096, 65535]


def octets(label, length):
    stream = b""
    while len(stream) < length:
        stream += sha256(f"{label} {len(stream)}".encode()).digest()
    return stream[:length]


for length in LENGTHS:
    one = PrivateKey(octets(f"one {length}", 32))
    other = PrivateKey(octets(f"other {length}", 32))
    nonce = octets(f"nonce {length}", 24)
    sealed = Box(one, other.public_key).encrypt(octets(f"clear {length}", length), nonce)
    print(length, sha256(sealed.ciphertext).hexdigest())
