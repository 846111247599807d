"""CEL's messages in words that a person can act on."""

import re
from typing import NamedTuple

from stepwire.definition.cel_numbers import NAMES

NESTED = "The expression is nested too deeply, or chains more than about 30 operators; compute it in several steps."
_FAULT = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(\d+):(\d+): (.*)", re.MULTILINE)
_STATUS = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$")
_NOT_EVALUATED = {
    "Iteration budget exceeded": "it goes through more than 10,000 items in all; a core.map step can take many items",
    "No matching overloads found : <iter_range>": "only a list or an object can be gone through",
    "No matching overloads found : <jump_condition>": "the condition before ? is neither true nor false",
    "Applying SELECT to non-message type": "a field is read from a value that is not an object",
    "basic_string: construction from null is not valid": "a text in its data is not valid Unicode",
    "std::bad_alloc": "there is not enough memory",
    "divide by zero": "division by zero",
    "String to Timestamp conversion failed": "the text is no instant such as 2030-01-31T12:00:00Z",
    "String to Duration conversion failed": "the text is no duration such as 90s or 1h30m",
    "int too big to convert": "integer overflow",
    "can't convert negative int to unsigned": "integer overflow",
}
_TYPES = {"int64": "int", "uint64": "uint", "null_type": "null", "dyn": "any value"}
_AS_TEXT = frozenset({"int", "uint", "double", "bool"})
_OPERATORS = NAMES | {"-_": "-", "@in": "in", "_[_]": "[ ]", "_[?_]": "[? ]", "_?._": ".?", "_?_:_": "? :", "!_": "!"}


class Fault(NamedTuple):
    """What is wrong with an expression; ``column`` counts from 1, in characters."""

    code: str
    message: str
    column: int


def compile_faults(source: str, message: str, names: tuple[str, ...]) -> tuple[Fault, ...]:
    """Where and why CEL does not compile a source that can read the variables ``names``."""
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found: list[Fault] = []
    for line_number, column, text in _FAULT.findall(message):
        place = starts[int(line_number) - 1] + max(int(column), 1)
        if text.startswith("Syntax error: "):  # those after the first only follow from it
            return (*found, Fault("expression-syntax", _syntax(text.removeprefix("Syntax error: ")), place))
        if undeclared := re.match(r"undeclared reference to '(.*?)'", text):
            found.append(_undeclared(source, undeclared[1], place, names))
        else:
            found.append(Fault("expression-syntax", _sentence(_overload(text)), place))
    if not found and "recursion" in message:
        return (Fault("expression-too-complex", NESTED, 1),)
    return tuple(found) or (Fault("expression-syntax", _sentence(_bare(message)), 1),)


def failure(message: str) -> str:
    """Why an evaluation has no value."""
    text = _bare(message)
    if text in _NOT_EVALUATED:
        return _sentence(_NOT_EVALUATED[text])
    if missing := re.fullmatch(r'Key not found in map : "?(.*?)"?', text, re.DOTALL):
        return f"There is no key {missing[1][:100]!r}."
    if index := re.fullmatch(r"Index error: index=(-?\d+) size=(\d+)", text):
        return f"There is no item {index[1]} in a list of {index[2]} (they count from 0)."
    return _sentence(_overload(text))


def _undeclared(source: str, name: str, place: int, names: tuple[str, ...]) -> Fault:
    root = name.partition(".")[0]
    start = source.rfind(root, 0, place + len(root) - 1)
    column = start + 1 if start >= 0 else place
    if re.match(r"\s*\(", source[column - 1 + len(root) :]):
        return Fault("unknown-variable", f"There is no function {root!r} that takes these arguments.", column)
    known = f"{', '.join(names[:-1])} and {names[-1]}"
    return Fault("unknown-variable", f"There is no variable {root!r}; an expression here can read {known}.", column)


def _syntax(text: str) -> str:
    """ANTLR's sentence without its list of everything that would have been right."""
    match re.match(r"(.*?) (?:expecting|at:?)( input)? (.*)", text, re.DOTALL):
        case None:
            return _sentence(text)
        case found:
            what, then = found[1], found[3]
    wrong = re.search(r"'(.*)'", what) or re.search(r"'(.*)'", then)
    sign = wrong[1].strip()[:60] if wrong else ""
    if what.startswith("missing"):
        return f"{sign} is missing{'' if '<EOF>' in then else f' before {then}'}."
    if what.startswith("token recognition") and sign[:1] in ("'", '"'):
        return "A string is not closed, or has an escape that CEL does not know."
    if sign == "<EOF>":
        wanted = re.fullmatch(r"'(.)'|\{'(.)', ','\}", then)
        return f"The expression ends too early{f': {wanted[1] or wanted[2]} is missing' if wanted else ''}."
    return f"{sign} is not expected here{': an operator may be missing' if then == '<EOF>' else ''}."


def _overload(text: str) -> str:
    """A function or an operator that does not take what it is given."""
    found = (
        re.fullmatch(r"No matching overloads found : ([^(]+)(?:\((.*)\))?", text, re.DOTALL)
        or re.fullmatch(r"found no matching overload for '(.+)' applied to '\((.*)\)'", text, re.DOTALL)
    )  # fmt: skip
    if not found:
        member = re.fullmatch(r"No matching overloads found : \((.*)\)\.(\w+)\((.*)\)", text, re.DOTALL)
        if not member:
            return text
        return f"{member[2]}() does not work on {' and '.join(_types(', '.join(filter(None, member.group(1, 3)))))}"
    name, given = found[1], found[2]
    operator = _OPERATORS.get(name) or (name.strip("_") if re.fullmatch(r"_[^_a-z]+_?", name) else name + "()")
    if not given:
        return f"{operator} does not work on what it is given"
    types = _types(given)
    is_joined = operator == "+" and "string" in types and not _AS_TEXT.isdisjoint(types)
    hint = "; string(…) makes a text of the other" if is_joined else ""
    return f"{operator} does not work on {' and '.join(types)}{hint}"


def _types(given: str) -> list[str]:
    """The types in ``int, list(string), map(string, dyn)``, cut at the outer commas."""
    depth, types = 0, [""]
    for character in given:
        depth += (character in "(<") - (character in ")>")
        types = [*types, ""] if character == "," and depth == 0 else [*types[:-1], types[-1] + character]
    return [_TYPES.get(each.strip(), each.strip()) for each in types]


def _bare(message: str) -> str:
    return _STATUS.sub("", message.strip()) or "it has no value"


def _sentence(text: str) -> str:
    start = text[:1] if re.match(r"\w+\(|in ", text) else text[:1].upper()
    return start + text[1:].replace(" (in container '')", "")[:300].rstrip(".") + "."
