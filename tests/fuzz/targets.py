"""All targets by name."""

from __future__ import annotations

from tests.fuzz import bodies, certificates, evidence, files, messages, packages

TARGETS = {
    one.name: one
    for module in (messages, bodies, files, evidence, packages, certificates)
    for one in module.TARGETS
}
