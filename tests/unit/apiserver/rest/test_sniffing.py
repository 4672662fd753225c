import pytest

from services.apiserver.fronts.rest.streams.sniffing import media_of


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (b"", "text/plain; charset=utf-8"),
        (b"You've hit web\n", "text/plain; charset=utf-8"),
        ("grüß".encode(), "text/plain; charset=utf-8"),
        (b'{"a":1}', "text/plain; charset=utf-8"),
        (b"\n <!doctype html><p>", "text/html; charset=utf-8"),
        (b"<pre>", "text/plain; charset=utf-8"),
        (b"<p>", "text/html; charset=utf-8"),
        (b"<?xml version='1.0'?>", "text/xml; charset=utf-8"),
        (b"\x89PNG\r\n\x1a\n\x00", "image/png"),
        (b"a\x00b", "application/octet-stream"),
    ],
)
def test_a_body_tells_what_it_is(data: bytes, media: str) -> None:
    assert media_of(data) == media
