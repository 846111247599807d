"""What a step must not leave behind: the values of its secrets, replaced by a mask wherever they stand.

Found is a value itself, inside larger strings, in keys and numbers too, and its usual spellings: percent-encoded, with
the escapes of JSON, Python or HTML, in base64 whatever stands around it (so Basic credentials are found), and the
larger part of it at the end of a text, where a message was cut off. What is computed from a value otherwise, such as a
hash or a part of it, is not recognised. Every search takes time in proportion to the text, whatever the value.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from stepwire.definition.secrets import MASK, MIN_LENGTH

_MIN_BASE64 = 8  # digits: fewer stand in other data by chance
_MIN_CUT = 8  # characters of a value that was cut off
_CUT_MARKS = ".…"  # what follows where a text was cut off
# As html.escape has it, whose module keeps the names of 2,231 characters in memory.
_HTML_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_HTML = _HTML_TEXT | str.maketrans({'"': "&quot;", "'": "&#x27;"})
_CUT_CANDIDATES = 100
_PASSES = 4
_LITERALS = ("true", "false", "null")
_NUMERIC = re.compile(r"[0-9.eE+-]+")
_PERCENT = re.compile("%[0-9A-F]{2}")
# What stays as it is when a URL is made: by Python's quote, by JavaScript's encodeURIComponent, and in paths and
# queries as httpx makes them. Source of the last two: url.spec.whatwg.org, section 1.3.
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_SAFE = ("", "/", "!*'()", _ASCII.translate(dict.fromkeys(map(ord, '"#<>?`{}%'))),
         _ASCII.translate(dict.fromkeys(map(ord, '"#<>%'))))  # fmt: skip

Span = tuple[int, int]


class Redactor:
    """Hides values. It knows none at first; `hide` them as soon as they are there."""

    def __init__(self) -> None:
        self._spellings: list[str] = []
        self._beginnings: list[str] = []  # of the spellings, as they are and as JSON has them
        self._wholes: list[str] = []  # those that are looked for across strings, too
        self._may_be_number = False

    def hide(self, values: Iterable[str]) -> None:
        """Hide these from now on. Values below `MIN_LENGTH` cannot be hidden; none is ever stored."""
        for value in values:
            if len(value) >= MIN_LENGTH:
                spellings = dict.fromkeys(_spellings(value))
                beginnings = [spelling[: _least(spelling)] for spelling in spellings]
                self._spellings.extend(spellings)
                self._beginnings.extend({*beginnings, *(_encode(beginning)[1:-1] for beginning in beginnings)})
                if value not in _LITERALS:
                    self._wholes.extend(spellings)
                self._may_be_number = self._may_be_number or _NUMERIC.fullmatch(value) is not None

    def text(self, text: str) -> str:
        """A text without the values; what stands around a mask might make a value with it, hence another look."""
        for _ in range(_PASSES):
            if not _has_any(text, self._beginnings):
                return text
            spans = sorted(self._spans(text))
            if not spans:
                return text
            text = _masked(text, spans)
        return MASK

    def value(self, value: Any) -> Any:
        """A JSON value without the values: the same object where it holds none, a mask where it is no JSON."""
        if not self._spellings:
            return value
        try:
            encoded = _encode(value)
        except (TypeError, ValueError, RecursionError):
            return MASK
        if not _has_any(encoded, self._beginnings):
            return value
        cleaned = self._clean(msgspec.json.decode(encoded), encoded)
        return self._strict(cleaned) if self._is_in(cleaned) else cleaned

    def _clean(self, value: Any, encoded: str | None = None) -> Any:
        """Lists and objects that hold nothing are left at once, so that large outputs take milliseconds."""
        match value:
            case str():
                return self.text(value)
            case int() | float() if self._may_be_number and not isinstance(value, bool):
                return MASK if self._is_in(value) else value
            case list() | dict() if not _has_any(encoded or _encode(value), self._beginnings):
                return value
            case list():
                return [self._clean(item) for item in value]
            case dict():
                return self._clean_object(value)
            case _:
                return value

    def _clean_object(self, value: dict[str, Any]) -> dict[str, Any]:
        """Keys that have become the same are numbered: no member is lost."""
        cleaned: dict[str, Any] = {}
        for key, item in value.items():
            name = wanted = self.text(key)
            number = 2
            while name in cleaned or (name != key and name in value):
                name, number = f"{wanted} {number}", number + 1
            cleaned[name] = self._clean(item)
        return cleaned

    def _strict(self, value: Any) -> Any:
        """Mask the innermost lists and objects that spell a value as a whole: a secret may be a JSON document itself."""
        if isinstance(value, list):
            value = [self._strict(item) for item in value]
        elif isinstance(value, dict):
            value = {key: self._strict(item) for key, item in value.items()}
        return MASK if self._is_in(value) else value

    def _is_in(self, value: Any) -> bool:
        return _has_any(_encode(value), self._wholes)

    def _spans(self, text: str) -> Iterator[Span]:
        end = len(text.rstrip(_CUT_MARKS))
        for spelling in self._spellings:
            length, least = len(spelling), _least(spelling)
            yield from ((start, start + length) for start in _places(spelling, text, 0, length))
            if least < length:
                for start in islice(_places(spelling[:least], text, max(end - length + 1, 0), 1), _CUT_CANDIDATES):
                    if spelling.startswith(text[start:end]):
                        yield start, end
                        break


def _has_any(text: str, parts: list[str]) -> bool:
    for part in parts:  # noqa: SIM110 - `any` takes thrice as long on short texts, of which there are many
        if part in text:
            return True
    return False


def _places(wanted: str, text: str, start: int, stride: int) -> Iterator[int]:
    """Where it stands, looking on ``stride`` further each time."""
    while (start := text.find(wanted, start)) >= 0:
        yield start
        start += stride


def _masked(text: str, spans: list[Span]) -> str:
    """Spans that overlap are one."""
    parts: list[str] = []
    done = 0
    for start, end in spans:
        if start >= done:
            parts += (text[done:start], MASK)
        done = max(done, end)
    return "".join((*parts, text[done:]))


def _least(spelling: str) -> int:
    """How much of the end of a text is taken for the beginning of a value."""
    return min(len(spelling), max(_MIN_CUT, (len(spelling) + 1) // 2))


def _spellings(value: str) -> Iterator[str]:
    yield value
    for encoded in (quote_plus(value), *(quote(value, safe) for safe in _SAFE)):
        yield encoded
        yield _PERCENT.sub(lambda octet: octet[0].lower(), encoded)
    for escaped in (_encode(value)[1:-1], json.dumps(value)[1:-1]):
        yield escaped
        yield _encode(escaped)[1:-1]  # JSON in a string of JSON
    yield repr(value)[1:-1]
    yield value.translate(_HTML)
    yield value.translate(_HTML_TEXT)
    yield from _base64(value.encode())


def _base64(data: bytes) -> Iterator[str]:
    """The digits that depend on nothing but the data, at each of the three places where it may begin in a larger text.

    Source: RFC 4648, sections 4 and 5.
    """
    for shift in range(3):
        encoded = b64encode(bytes(shift) + data).decode()
        digits = encoded[-(-8 * shift // 6) : 8 * (shift + len(data)) // 6]
        if len(digits) >= _MIN_BASE64:
            yield digits
            yield digits.replace("+", "-").replace("/", "_")


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
