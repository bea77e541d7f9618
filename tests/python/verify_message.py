"""Checks whole messages without any program of curvelink: python verify_message.py KEY.pem KEYID

One message per input line, {"envelope": DSSE, "frames": [BASE64]}; one verdict per output line. The
signature is for securesystemslib; the digests of the frames are compared as in-toto defines them.
Whatever goes wrong otherwise ends the program.
"""

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

with open(sys.argv[1], "rb") as pem:
    key = SSlibKey.from_crypto(load_pem_public_key(pem.read()), keyid=sys.argv[2])


def is_what_was_signed(message):
    envelope = Envelope.from_dict(message["envelope"])
    try:
        envelope.verify([key], threshold=1)
    except VerificationError:
        return False
    digests = [subject["digest"]["sha256"] for subject in json.loads(envelope.payload)["subject"]]
    frames = [base64.b64decode(frame) for frame in message["frames"]]
    return digests == [hashlib.sha256(frame).hexdigest() for frame in frames]


for line in sys.stdin:
    print("accepted" if is_what_was_signed(json.loads(line)) else "rejected")
