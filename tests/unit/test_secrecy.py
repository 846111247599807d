"""Secrets without a database: what is encrypted, what a definition may name, what is hidden wherever it stands."""

import base64
import html
import json
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from factories import REGISTRY, definition, node
from stepwire.auth.encryption import Keyring, Unreadable, load_keyring
from stepwire.definition.expressions import ExpressionFailed, Scope, Variables
from stepwire.definition.redaction import Redactor
from stepwire.definition.secrets import MASK, place
from stepwire.definition.templates import Compiled, compile_value
from stepwire.definition.validate import check
from stepwire.errors import Misconfigured

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
ME, OTHER = UUID(int=1), UUID(int=2)
SCOPE = Scope(upstream=frozenset(), steps=frozenset())


# Encryption


@given(st.binary(max_size=200))
def test_what_is_sealed_opens_where_it_belongs(value: bytes) -> None:
    sealed = Keyring([OLD]).seal(value, place(ME, "shop"))

    assert Keyring([OLD]).open(sealed, place(ME, "shop")) == value
    assert len(value) < 4 or value not in sealed


@pytest.mark.parametrize("elsewhere", [place(OTHER, "shop"), place(ME, "bank"), b""])
def test_it_opens_nowhere_else(elsewhere: bytes) -> None:
    sealed = Keyring([OLD]).seal(b"value", place(ME, "shop"))

    with pytest.raises(Unreadable):
        Keyring([OLD]).open(sealed, elsewhere)


@given(st.integers(0, 33), st.integers(1, 255))
def test_not_a_bit_of_it_can_be_changed(at: int, change: int) -> None:
    sealed = bytearray(Keyring([OLD]).seal(b"value", b"here"))
    sealed[at] ^= change

    with pytest.raises(Unreadable):
        Keyring([OLD]).open(bytes(sealed), b"here")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), b"\x02" + bytes(40)])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(Unreadable):
        Keyring([OLD]).open(sealed, b"here")


def test_the_same_value_is_sealed_differently_each_time() -> None:
    assert len({Keyring([OLD]).seal(b"value", b"here") for _ in range(50)}) == 50


def test_the_first_key_seals_and_every_key_opens() -> None:
    old = Keyring([OLD]).seal(b"old", b"here")
    both = Keyring([NEW, OLD])

    assert both.open(old, b"here") == b"old"
    assert Keyring([NEW]).open(both.seal(b"new", b"here"), b"here") == b"new"
    assert both.key_id == Keyring([NEW]).key_id != Keyring([OLD]).key_id


@pytest.mark.parametrize(
    "setting",
    [
        OLD.hex(),
        OLD.hex().upper(),
        base64.b64encode(OLD).decode(),
        base64.urlsafe_b64encode(OLD).decode(),
        base64.urlsafe_b64encode(OLD).decode().rstrip("="),
        f" {base64.b64encode(OLD).decode()} , {NEW.hex()}",
    ],
)
def test_a_key_is_base64_or_hexadecimal(setting: str) -> None:
    keyring = load_keyring(setting)

    assert keyring is not None
    assert keyring.key_id == Keyring([OLD]).key_id


@pytest.mark.parametrize(
    "setting", ["changeme-changeme", OLD.hex()[:-2], base64.b64encode(OLD[:-1]).decode(), "é" * 32]
)
def test_anything_else_is_refused_and_not_quoted(setting: str) -> None:
    with pytest.raises(Misconfigured, match="32 random bytes") as refusal:
        load_keyring(setting)
    with pytest.raises(Misconfigured, match="key 2"):
        load_keyring(f"{OLD.hex()},{setting}")

    assert setting not in refusal.value.detail


# What a definition may name


def compiled(config: Any) -> Compiled:
    found, issues = compile_value(config, SCOPE)
    assert issues == []
    return found


def variables(**known: Any) -> Variables:
    return Variables({"input": {"a": 1}, "secrets": {}, **known}.__getitem__, frozenset(), dict)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ secrets.shop }}", {"shop"}),
        ("Bearer {{ secrets['shop'] }} {{ input.a }}", {"shop"}),
        ('{{ secrets["a_1"] + secrets._b.lowerAscii() }}', {"a_1", "_b"}),
        ("{{ has(secrets.shop) ? .secrets.shop : '' }}", {"shop"}),
        ("{{ input.secrets.shop }} {{ 'secrets.shop' }}", set()),
        ("secrets.shop", set()),
    ],
)
def test_a_configuration_knows_the_secrets_that_it_names(text: str, names: set[str]) -> None:
    assert compiled({"a": [{"b": text}]}).secrets == names


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("{{ secrets[input.name] }}", "secret-not-named", 4),
        ("a {{ size(secrets) }}", "secret-not-named", 11),
        ("{{ secrets }}", "secret-not-named", 4),
        ("{{ secrets.?shop.orValue('') }}", "secret-not-named", 4),
        ("{{ secrets.exists(name, true) }}", "secret-not-named", 4),
        ("{{ secrets['sh' + 'op'] }}", "secret-not-named", 4),
        ("{{ secrets[r'shop'] }}", "secret-not-named", 4),
        ("{{ input.a.map(secrets, secrets.shop) }}", "secret-not-named", 16),
        ("{{ secrets[0] }}", "secret-not-named", 4),
        ("{{ secrets['my shop'] }}", "secret-name", 4),
        ("{{ secrets['1st'] }}", "secret-name", 4),
        (f"{{{{ secrets.{'a' * 65} }}}}", "secret-name", 4),
    ],
)
def test_a_secret_that_is_not_named_is_refused_when_the_workflow_is_validated(
    text: str, code: str, column: int
) -> None:
    [issue] = check(definition([node("a", "core.log", {"message": text})]), REGISTRY).issues

    assert (issue.code, issue.node_id, issue.path, issue.column) == (code, "a", "/data/config/message", column)


def test_what_is_shown_of_a_configuration_has_masks_for_its_secrets() -> None:
    config = compiled({"a": "Bearer {{ secrets.shop }}", "b": ["{{ secrets.shop == 'x' }}", "{{ input.a }}"], "c": 1})

    assert config.masked is not None
    assert config.masked.evaluate(variables()) == {"a": "Bearer ***", "b": ["***", 1], "c": 1}
    assert config.evaluate(variables().with_secrets({"shop": "x"})) == {"a": "Bearer x", "b": [True, 1], "c": 1}


def test_a_configuration_without_secrets_has_nothing_to_mask() -> None:
    assert compiled({"a": "{{ input.a }}"}).masked is None


def test_an_expression_sees_no_secret_that_it_was_not_given() -> None:
    with pytest.raises(ExpressionFailed):
        compiled("{{ secrets.shop }}").evaluate(variables())


# Hiding

VALUES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=12), min_size=1, max_size=3)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SPELLINGS = [
    str,
    quote_plus,
    quote,
    lambda value: quote(value, safe="").lower() if value.isascii() and value.islower() else quote(value, safe=""),
    lambda value: json.dumps(value)[1:-1],
    lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    lambda value: json.dumps(json.dumps(value, ensure_ascii=False)[1:-1], ensure_ascii=False)[1:-1],
    lambda value: repr(value)[1:-1],
    html.escape,
]


def hiding(*values: str) -> Redactor:
    redactor = Redactor()
    redactor.hide(values)
    return redactor


def documents(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = leaves.filter(lambda leaf: isinstance(leaf, str))
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


def strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [each for item in value for each in strings(item)]
        case dict():
            return [each for pair in value.items() for item in pair for each in strings(item)]
        case _:
            return [] if value is None or isinstance(value, bool) else [json.dumps(value)]


@given(VALUES, st.data())
def test_no_document_holds_a_value_whatever_its_position(values: list[str], data: st.DataObject) -> None:
    assume(not any(value in ("true", "false", "null") or value in '"***"' for value in values))
    hidden = st.builds(
        lambda before, spell, value, after: before + spell(value) + after,
        TEXTS, st.sampled_from(SPELLINGS), st.sampled_from(values), TEXTS,
    )  # fmt: skip
    document = data.draw(documents(hidden | TEXTS | st.integers() | st.none() | st.booleans()))

    result = hiding(*values).value(document)

    stored = msgspec.json.encode(result).decode()
    for value in values:
        assert not [text for text in strings(result) if value in text]
        assert value not in stored
        assert msgspec.json.encode(value).decode()[1:-1] not in stored


@given(documents(TEXTS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.booleans()))
def test_a_document_without_the_value_stays_as_it_is(document: Any) -> None:
    assert hiding("sk_live_0123456789").value(document) is document


@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_value_is_found_as_it_is_usually_spelled(spell: Any) -> None:
    value = "p/ä\"s's \\w\n&<ord>+😀%!"

    assert hiding(value).text(f"a {spell(value)} b") == "a *** b"


@pytest.mark.parametrize("before", ["", "u", "me", "you", "user"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_value_is_found_in_base64_whatever_stands_before_it(before: str, encode: Any) -> None:
    value = "~~hunter2??"
    shown = hiding(value).text("Basic " + encode(f"{before}:{value}".encode()).decode())

    digits = shown.removeprefix("Basic ").replace(MASK, "")
    assert MASK in shown
    assert len(digits) <= len(f"{before}:") * 4 / 3 + 4


def test_values_that_overlap_leave_nothing_of_either() -> None:
    assert hiding("abcdefgh", "efghijkl", "abcdefghi").text("-abcdefghijkl-") == "-***-"
    assert hiding("cdefg", "abcdefghijkl").text("-abcdefghijkl-") == "-***-"


@pytest.mark.parametrize("value", ["*abcdefg", "abc***defg", "********", "pass*"])
def test_a_mask_makes_no_value_with_what_stands_around_it(value: str) -> None:
    shown = hiding(value).text(f"{value[:4]}{value}{value[-4:]} pass{value} {value}abcdefg")

    assert value not in shown


@pytest.mark.parametrize("end", ["", "…", "."])
def test_the_larger_part_of_a_value_is_found_where_a_text_was_cut_off(end: str) -> None:
    assert hiding("sk_live_0123456789").text(f"It said sk_live_01234{end}") == f"It said ***{end}"
    assert hiding("sk_live_0123456789").text("sk_live") == "sk_live"
    assert hiding("sk_live_0123456789").text("sk_live_01234 is not it") == "sk_live_01234 is not it"


def test_keys_that_become_the_same_keep_their_members() -> None:
    shown = hiding("hunter22", "hunter33").value({"hunter22": 1, "***": 2, "hunter33": 3, "x": 4})

    assert sorted(shown.values()) == [1, 2, 3, 4]
    assert "hunter" not in json.dumps(shown)


def test_a_number_is_found_as_a_number_and_a_document_as_a_document() -> None:
    redactor = hiding("12345678", '{"id":"robot","key":[1,2]}')

    assert redactor.value({"n": 12345678, "m": 1234, "at": 5.5}) == {"n": MASK, "m": 1234, "at": 5.5}
    assert redactor.value([{"sent": {"id": "robot", "key": [1, 2]}, "ok": True}]) == [{"sent": MASK, "ok": True}]


def test_the_words_of_json_stay_what_they_are() -> None:
    shown = {"flag": "***", "result": True, "none": None}

    assert hiding("true", "null").value({"flag": "true", "result": True, "none": None}) == shown


def test_what_is_no_json_is_masked_as_a_whole() -> None:
    assert hiding("hunter22").value({"x": object()}) == MASK
    assert hiding("hunter22").value({"x": b"\0hunter22"}) == {"x": "AG" + MASK}
