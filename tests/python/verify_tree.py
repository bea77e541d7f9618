"""Checks trees with pymerkle: python verify_tree.py < CASES

One case per input line, one verdict per output line. pymerkle knows no signatures: of a checkpoint
it is given size and root. Whatever goes wrong otherwise ends the program.
"""

import base64
import json
import sys

from pymerkle import InclusionProof, InmemoryTree, InvalidProof, verify_consistency
from pymerkle.core import _inclusion_path_layout
from pymerkle.hasher import MerkleHasher

hasher = MerkleHasher("sha256", True)
# The log that the cases of kind "tree" are about, grown as they ask for it.
log = InmemoryTree(algorithm="sha256")


def head(note):
    lines = note.split("\n")
    return int(lines[1]), base64.b64decode(lines[2], validate=True)


def check_record(case):
    proof, checkpoint = case["proof"].split("\n\n", 1)
    lines = proof.split("\n")
    index = int(lines[1].removeprefix("index "))
    size, root = head(checkpoint)
    if not index < size:
        raise InvalidProof("beyond the tree")
    base = hasher.hash_buff(base64.b64decode(case["entry"]))
    path = [base] + [base64.b64decode(line, validate=True) for line in lines[2:]]
    rule, _ = _inclusion_path_layout(index + 1, size)
    told = InclusionProof("sha256", True, size, index + 1, rule, path)
    told.verify(base, root, index=index + 1, size=size, algorithm="sha256")


def check_tree(case):
    (old_size, old_root), (new_size, new_root) = head(case["old"]), head(case["note"])
    while log.get_size() < new_size:
        log.append_entry(f"entry {log.get_size()}".encode())
    proof = log.prove_consistency(old_size, new_size)
    verify_consistency(old_root, new_root, proof, prior_size=old_size, later_size=new_size)


for line in sys.stdin:
    case = json.loads(line)
    try:
        {"record": check_record, "tree": check_tree}[case["kind"]](case)
        print("accepted")
    except InvalidProof:
        print("rejected")
