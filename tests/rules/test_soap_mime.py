"""PROTOCOL §17.1: MTOM packages have one reading, or are refused (attacks H24–H26)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.refusal import Code, Refusal
from gateway.soap import mime
from gateway.soap.mime import Head, Parts
from tests.world import V11, V12

TYPE = 'multipart/related; type="application/xop+xml"; start="<root@x>"; start-info="text/xml"; boundary="b"'
ROOT = b'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\nContent-ID: <root@x>'
SCAN = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <scan@x>"


def packed(*parts: tuple[bytes, bytes], before=b"", end=b"--\r\n") -> bytes:
    return before + b"--b\r\n" + b"\r\n--b\r\n".join(h + b"\r\n\r\n" + c for h, c in parts) + b"\r\n--b" + end


GOOD = packed((ROOT, b"<x/>"), (SCAN, b"%PDF\r\n--c\r\n"))


def read(data: bytes, media: str = TYPE, parts: int = 2, step: int = 0) -> list[tuple[Head, bytes]]:
    reader, found = Parts(mime.read_type(media), parts), []
    for at in range(0, len(data), step or len(data) or 1):
        for event in reader.feed(data[at : at + step] if step else data):
            if isinstance(event, Head):
                found.append((event, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + event)
    reader.close()
    return found


def refused(data: bytes, **how: object) -> Code:
    with pytest.raises(Refusal) as caught:
        read(data, **how)
    return caught.value.code


@pytest.mark.parametrize("step", range(1, 40))
def test_a_package_has_the_same_parts_however_it_arrives(step: int):
    assert read(GOOD, step=step) == read(GOOD)
    assert [(head.id, content) for head, content in read(GOOD)] == [
        ("root@x", b"<x/>"),
        ("scan@x", b"%PDF\r\n--c\r\n"),
    ]


ACCEPTED = {
    "line end before the first boundary": (packed((ROOT, b"<x/>"), before=b"\r\n"), TYPE),
    "no line end after the last boundary": (packed((ROOT, b"<x/>"), end=b"--"), TYPE),
    "start not named": (GOOD, TYPE.replace(' start="<root@x>";', "")),
    "boundary without quotes": (GOOD, TYPE.replace('"b"', "b")),
    "an attachment without bytes": (packed((ROOT, b"<x/>"), (SCAN, b"")), TYPE),
    "no charset": (packed((ROOT.replace(b" charset=UTF-8;", b""), b"<x/>")), TYPE),
    "headers in lower case": (packed((ROOT.lower(), b"<x/>")), TYPE),
}


@pytest.mark.parametrize("form", ACCEPTED)
def test_what_stacks_write_is_accepted(form: str):
    data, media = ACCEPTED[form]
    assert read(data, media)[0][1] == b"<x/>"


SEEN = {  # as seen from these stacks, without what is nobody's business here
    "node-soap forceMTOM": (
        'multipart/related; type="application/xop+xml"; start="<8d-1>"; start-info="text/xml"; boundary=0c-2',
        b'--0c-2\r\nContent-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\nContent-ID: <8d-1>\r\n\r\n<x/>\r\n--0c-2--\r\n',
    ),
    "gSOAP": (
        'multipart/related; charset=utf-8; boundary="==aBc="; type="application/xop+xml"; start="<SOAP-ENV:Envelope>"; start-info="text/xml"',
        b'--==aBc=\r\nContent-Type: application/xop+xml;charset=utf-8;type="text/xml"\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <SOAP-ENV:Envelope>\r\n\r\n<x/>\r\n--==aBc=--\r\n',
    ),
    "CXF": (
        'multipart/related; type="application/xop+xml"; boundary="uuid:1-2"; start="<root.message@cxf.apache.org>"; start-info="text/xml"',
        b'\r\n--uuid:1-2\r\nContent-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <root.message@cxf.apache.org>\r\n\r\n<x/>\r\n--uuid:1-2--',
    ),
}


@pytest.mark.parametrize("stack", SEEN)
def test_a_message_without_attachment_is_unpacked(stack: str):
    media, data = SEEN[stack]
    assert mime.unpack(data, mime.read_type(media)) == b"<x/>"


BROKEN = {
    "no bytes": b"",
    "a preamble": packed((ROOT, b"<x/>"), before=b"hello\r\n"),
    "no end": packed((ROOT, b"<x/>"), end=b"\r\n" + ROOT),
    "cut off in the content": GOOD[:-12],
    "an epilogue": packed((ROOT, b"<x/>"), end=b"--\r\nmore"),
    "a long epilogue of line ends": packed((ROOT, b"<x/>"), end=b"--" + b"\r\n" * 9),
    "a third part": packed((ROOT, b"<x/>"), (SCAN, b"1"), (SCAN.replace(b"scan", b"more"), b"2")),
    "ten thousand parts": packed((ROOT, b"<x/>"), *[(SCAN.replace(b"scan", b"%d" % n), b"") for n in range(9999)]),
    "a Content-ID twice": packed((ROOT, b"<x/>"), (SCAN.replace(b"scan@x", b"root@x"), b"1")),
    "an attachment without Content-ID": packed((ROOT, b"<x/>"), (b"Content-Type: application/pdf", b"1")),
    "start names another part": packed((SCAN, b"1"), (ROOT, b"<x/>")),
    "a first part that is no XOP": packed((ROOT.replace(b"application/xop+xml", b"text/xml"), b"<x/>")),
    "a message in another charset": packed((ROOT.replace(b"UTF-8", b"utf-16"), b"<x/>")),
    "a first part without headers": b"--b\r\n\r\n<x/>\r\n--b--",
    "a nested package": packed((ROOT, b"<x/>"), (SCAN.replace(b"application/pdf", b'multipart/related; boundary="c"'), b"1")),
    "base64": packed((ROOT, b"<x/>"), (SCAN.replace(b"binary", b"base64"), b"MQ==")),
    "quoted-printable": packed((ROOT, b"<x/>"), (SCAN.replace(b"binary", b"quoted-printable"), b"=31")),
    "compressed": packed((ROOT, b"<x/>"), (SCAN + b"\r\nContent-Encoding: gzip", b"1")),
    "a header twice": packed((ROOT + b"\r\nContent-ID: <root@x>", b"<x/>")),
    "a folded header": packed((ROOT + b"\r\nX-Long: a\r\n b", b"<x/>")),
    "a header beyond ASCII": packed((ROOT + b"\r\nX-Name: \xc3\xa9", b"<x/>")),
    "headers without end": b"--b\r\n" + b"X: " + b"y" * 5000,
    "a long block of headers": packed((ROOT + b"\r\nX-Long: " + b"y" * 4096, b"<x/>")),
    "a last boundary in another form": packed((ROOT, b"<x/>"), end=b"=="),
    "a boundary that goes on": packed((ROOT, b"<x/>\r\n--bb\r\n")),
    "a Content-ID with a space": packed((ROOT, b"<x/>"), (SCAN.replace(b"scan@x", b"a b"), b"1")),
}  # fmt: skip


@pytest.mark.parametrize("flaw", BROKEN)
def test_what_could_be_read_in_two_ways_is_refused(flaw: str):
    assert refused(BROKEN[flaw]) is Code.MULTIPART
    assert refused(BROKEN[flaw], step=7) is Code.MULTIPART


def test_more_than_the_message_is_refused_where_nothing_may_be_attached():
    with pytest.raises(Refusal) as caught:
        mime.unpack(GOOD, mime.read_type(TYPE))
    assert caught.value.code is Code.MULTIPART


def test_a_preamble_is_refused_at_its_first_byte():
    reader = Parts(mime.read_type(TYPE), 2)
    with pytest.raises(Refusal):
        list(reader.feed(b"x"))


TYPES = {
    "SOAP with attachments": (TYPE.replace("application/xop+xml", "text/xml"), Code.MEDIA_TYPE),
    "another multipart": (TYPE.replace("related", "mixed"), Code.MEDIA_TYPE),
    "no boundary": (TYPE.replace('boundary="b"', "x=y"), Code.MULTIPART),
    "an empty boundary": (TYPE.replace('"b"', '""'), Code.MULTIPART),
    "a boundary of a megabyte": (TYPE.replace('"b"', f'"{"b" * 2**20}"'), Code.MULTIPART),
    "a boundary twice": (TYPE + "; boundary=c", Code.MULTIPART),
    "no start-info": (TYPE.replace('start-info="text/xml"; ', ""), Code.MULTIPART),
    "start-info of no SOAP": (TYPE.replace("text/xml", "text/plain"), Code.MULTIPART),
    "another charset": (TYPE + "; charset=utf-16", Code.MULTIPART),
    "an escape in a parameter": (TYPE + r'; x="\""', Code.MULTIPART),
    "start without brackets": (TYPE.replace("<root@x>", "root@x"), Code.MULTIPART),
}


@pytest.mark.parametrize("flaw", TYPES)
def test_a_media_type_that_is_none_of_a_package_is_refused(flaw: str):
    media, code = TYPES[flaw]
    with pytest.raises(Refusal) as caught:
        mime.read_type(media)
    assert caught.value.code is code


def test_a_media_type_tells_version_and_action():
    package = mime.read_type(TYPE.replace("text/xml", "application/soap+xml") + '; action="urn:x"')
    assert (package.version, package.action, package.start) == (V12, "urn:x", "root@x")
    assert mime.read_type(TYPE + '; action="urn:x"').action is None  # SOAP 1.1 has a header for it


def test_a_boundary_holds_what_nobody_could_foresee():
    assert mime.read_type(mime.wrap(V11, "5ec7e7").media).boundary.endswith("5ec7e7")


@given(content=st.binary(max_size=300), step=st.integers(1, 60), version=st.sampled_from([V11, V12]))
def test_what_is_wrapped_here_is_read_here(content: bytes, step: int, version):
    around = mime.wrap(version, "0123456789abcdef")
    data = around.before + b"<x/>" + around.between + content + around.after
    (_, message), (head, attached) = read(data, around.media, step=step)
    assert (message, head.id, attached) == (b"<x/>", mime.CONTENT_ID, content)
    assert mime.read_type(around.media).version is version
