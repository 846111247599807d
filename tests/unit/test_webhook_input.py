"""What a webhook's body is to its run."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwire.definition.webhook_input import UnreadableBody, delivery_id, input_of, trigger_of

PARTS = (
    b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="f"; filename="p.png"\r\nContent-Type: image/png\r\n\r\n\x89P\r\n--xx--\r\n'
)


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}), ("application/json; charset=utf-8", b"[1]", {"body": [1]}),
        ("application/cloudevents+json", b'{"a": 1}', {"a": 1}), ("text/json", b'"x"', {"body": "x"}),
        ("application/json", b"null", {"body": None}), ("application/json", b"", {}), ("", b"", {}),
        ("application/x-www-form-urlencoded", b"a=1&b=&a=%C3%A4", {"a": ["1", "\u00e4"], "b": ""}),
        ("multipart/form-data; boundary=xx", PARTS,
         {"a": "one", "f": {"filename": "p.png", "content_type": "image/png", "body_base64": "iVA="}}),
        ("text/plain", "h\u00e4".encode(), {"body": "h\u00e4"}), ("text/csv", b"a,b", {"body": "a,b"}),
        ("image/png", b"\x89P", {"body_base64": "iVA="}), ("", b"x", {"body": "x"}), ("no type", b"x", {"body": "x"}),
        ("text/plain", b"a\x00", {"body_base64": base64.b64encode(b"a\x00").decode()}),
    ],
)  # fmt: skip
def test_a_body_is_read_as_what_its_type_says(kind: str, body: bytes, value: Any) -> None:
    assert input_of(kind, body) == value


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"), ("application/json", b'"\xff"'), ("application/json", b"[" * 100_000),
        ("application/x-www-form-urlencoded", b"\xff=1"), ("application/x-www-form-urlencoded", b"a=%ff"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1001)), ("multipart/form-data; boundary=xx", b"nothing"),
        ("multipart/form-data", PARTS), ("multipart/form-data; boundary=xx", PARTS[:-10]),
        ("multipart/form-data; boundary=xx", PARTS.replace(b"one", b"\xff")),
        (f"multipart/form-data; boundary=xx; a={';' * 1000}", PARTS),
    ],
)  # fmt: skip
def test_what_is_not_what_its_type_says_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        input_of(kind, body)


@given(
    st.one_of(
        st.text(max_size=60), st.sampled_from(["application/json", "multipart/form-data; boundary=xx", "text/plain"])
    ),
    st.binary(max_size=200),
)
def test_no_body_makes_the_reading_stumble(kind: str, body: bytes) -> None:
    try:
        assert isinstance(input_of(kind, body), dict)
    except UnreadableBody:
        return


def test_the_trigger_says_how_it_was_called_but_not_with_which_secrets() -> None:
    headers = [("x-event", "push"), ("x-many", "a"), ("x-many", "b"), ("cookie", "secret")]

    assert trigger_of("POST", headers, [("a", "1")], frozenset({"cookie"})) == {
        "type": "webhook", "method": "POST", "headers": {"x-event": "push", "x-many": ["a", "b"]}, "query": {"a": "1"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "body", "key"),
    [
        ({"webhook-id": ["msg_1"]}, {}, "msg_1"), ({"x-github-delivery": ["72d3162e"]}, {}, "72d3162e"),
        ({"stripe-signature": ["t=1"]}, {"id": "evt_1"}, "evt_1"), ({"x-slack-signature": ["v0=1"]}, {"event_id": "Ev1"}, "Ev1"),
        ({}, {"id": "evt_1", "event_id": "Ev1"}, None), ({"stripe-signature": ["t=1"]}, {"id": 7}, None),
        ({"stripe-signature": ["t=1"]}, {"body": [1]}, None),
    ],
)  # fmt: skip
def test_each_sender_has_a_name_for_a_delivery(headers: Any, body: Any, key: str | None) -> None:
    assert delivery_id(headers, body) == key
