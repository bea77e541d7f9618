"""Checks DSSE envelopes with securesystemslib: python verify_dsse.py KEY.pem KEYID < ENVELOPES

One envelope per input line, one verdict per output line. Whatever goes wrong otherwise ends the
program, so that a broken set-up is not mistaken for a rejected signature.
"""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

with open(sys.argv[1], "rb") as pem:
    key = SSlibKey.from_crypto(load_pem_public_key(pem.read()), keyid=sys.argv[2])

for line in sys.stdin:
    envelope = Envelope.from_dict(json.loads(line))
    try:
        envelope.verify([key], threshold=1)
        print("accepted")
    except VerificationError:
        print("rejected")
