"""No wrapped message is read as anything but what was signed, though others would be deceived (S05–S16)."""

from __future__ import annotations

import pytest

from gateway.model import SoapVersion, Verified
from gateway.refusal import Refusal
from tests.rules.second_engine import xmlsec_as_usually_called_verifies, xmlsec_verifies
from tests.rules.wrapping import original, wrapped
from tests.world import accept


def read(verified: Verified) -> tuple[object, ...]:
    """Everything that later stages are told."""
    return verified.body, verified.created, verified.certificate, verified.signature


@pytest.mark.parametrize("version", list(SoapVersion))
def test_a_wrapped_message_is_refused_or_read_as_it_was_signed(version: SoapVersion):
    data = original(version)
    xmlsec_verifies(data)
    signed = accept(data)
    generated = deceived = 0
    for sentence, attack in wrapped(data):
        generated += 1
        deceived += "original moved" in sentence and xmlsec_as_usually_called_verifies(attack)
        try:
            verified = accept(attack)
        except Refusal:
            continue
        assert "twin added" in sentence, "an original that was moved"
        assert read(verified) == read(signed), sentence
        assert verified.addressing == signed.addressing or not verified.addressing_signed, sentence
    assert generated > 4_000
    assert deceived > 1_000, (
        "the generator has lost its teeth: the evil twin stands in its place, and xmlsec says valid"
    )
