"""`python -m tests.wrapping`: every variant of every message in every shape; takes some ten minutes."""

from __future__ import annotations

import sys

from tests.wrapping.count import total

counted = total(everything="--sample" not in sys.argv)
print(counted, *counted.wrong, sep="\n")
sys.exit(bool(counted.wrong))
