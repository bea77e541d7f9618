"""Checks that witnesses signed a checkpoint (c2sp.org/tlog-cosignature), knowing nothing of curvelink.

    verify_cosignature.py NOTE VKEY...

Prints `NAME TIME` of each; ends with an error if one of the keys has not signed.
"""

import base64
import hashlib
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

with open(sys.argv[1], encoding="utf-8", newline="") as file:
    text, _, signatures = file.read().partition("\n\n")
text += "\n"
for vkey in sys.argv[2:]:
    name, key_id, key = vkey.split("+", 2)
    key = base64.b64decode(key, validate=True)
    assert len(key) == 33 and key[0] == 4, "not the key of a witness"
    digest = hashlib.sha256(name.encode() + b"\n" + key).digest()
    assert digest[:4].hex() == key_id, "the id is not that of the key"
    [line] = [line for line in signatures.split("\n") if line.startswith(f"\u2014 {name} ")]
    octets = base64.b64decode(line.split(" ")[2], validate=True)
    assert octets[:4] == digest[:4] and len(octets) == 4 + 8 + 64, "another key's signature"
    time = int.from_bytes(octets[4:12], "big")
    signed = f"cosignature/v1\ntime {time}\n{text}".encode()
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(octets[12:], signed)
    print(name, time)
