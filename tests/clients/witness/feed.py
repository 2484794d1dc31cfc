"""A log of other people's making asks a witness: tree, signatures and client are those of aics-tlog and aics-witness.

Arguments: URL and vkey of the witness, seed of the log's key in hexadecimal. Prints what came of each request.
"""

import json
import sys

from aics_tlog import Checkpoint, MerkleTree, sign_checkpoint, sign_cosignature
from aics_witness import feeder
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

url, vkey, seed, origin = sys.argv[1:]
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
honest, forked = (
    MerkleTree([b"%d%s" % (index, mark if index > 2 else b"") for index in range(12)]) for mark in (b"", b"'")
)


def note(tree, size):
    return sign_checkpoint(Checkpoint(origin, size, tree.root(size)), key, origin).serialise()


def submit(tree, size):
    with feeder.WitnessClient(url, vkey, max_attempts=1) as client:
        try:
            return client.submit(note(tree, size), tree.consistency_proof)
        except feeder.FeederError as error:
            return f"{type(error).__name__} {getattr(error, 'status', '')}".strip()


said = [
    [what, submit(tree, size)]
    for what, tree, size in (
        ("first", honest, 5),
        ("grown", honest, 9),
        ("the same", honest, 9),
        ("forked", forked, 11),
        ("other root", forked, 9),
        ("stale", honest, 7),
        ("grown again", honest, 12),
    )
]
first = Checkpoint(origin, 5, honest.root(5))
_, line = sign_cosignature(key, "cosigner.example", 1_790_000_000, origin, first.size, first.root)
told = {"text": first.text(), "line": [line.name, line.key_id.hex(), line.signature.hex()]}
print(json.dumps({"said": said, **told}))
