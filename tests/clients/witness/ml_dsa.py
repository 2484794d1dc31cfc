"""ML-DSA-44 by tlog-scales. Arguments: a checkpoint file, and the vkey whose line in it is verified.

Prints their signature line on the same checkpoint, by a key of their own seed, and its vkey.
"""

import json
import sys
from pathlib import Path

from tlog_scales.signing import MLDSA44CosignatureSigner, Vkey
from tlog_scales.tlog import Checkpoint

checkpoint = Checkpoint.from_text(Path(sys.argv[1]).read_text(encoding="utf-8"))
checkpoint.verify(Vkey.from_string(sys.argv[2]))
signer = MLDSA44CosignatureSigner("theirs.example/w", bytes([9] * 32))
checkpoint.signatures.append(signer.sign(checkpoint))
print(json.dumps({"vkey": signer.vkey.serialize(), "checkpoint": checkpoint.serialize()}))
