"""What the user gave: a file with a definition or a workflow, and an input."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from stepwire.client.errors import CouldNotStart

STANDARD_INPUT = "-"
MAX_NAME = 200  # the API's limit


class Job(msgspec.Struct, frozen=True):
    """What is to be run: the body of POST /workflows, and the run's input."""

    workflow: dict[str, Any]
    input: dict[str, Any]


def read_job(options: Namespace, read_stdin: Callable[[], str] | None = None) -> Job:
    """Read the file and the input.

    Raises:
        CouldNotStart: one is missing, not JSON, or JSON of another form.
    """
    if str(options.file) == STANDARD_INPUT and options.input == STANDARD_INPUT:
        raise CouldNotStart("FILE and --input are both -: standard input can be only one of them.")
    reader = read_stdin or _stdin
    return Job(_workflow(options, reader), _input(options.input, reader))


def _workflow(options: Namespace, read_stdin: Callable[[], str]) -> dict[str, Any]:
    """A whole workflow as it is, a bare definition with a name; the server judges what is in it."""
    is_stdin = str(options.file) == STANDARD_INPUT
    where = "Standard input" if is_stdin else str(options.file)
    read = parse_json(read_stdin() if is_stdin else _text_of(options.file), where)
    if not isinstance(read, dict) or not ({"definition", "nodes"} & read.keys()):
        raise CouldNotStart(
            f'{where} is neither a definition {{"nodes": […], "edges": […]}} nor a workflow {{"name": …, "definition": …}}.'
        )
    workflow = read if "definition" in read else {"definition": read}
    name = options.name or workflow.get("name") or ("stdin" if is_stdin else options.file.stem)
    return {**workflow, "name": name[:MAX_NAME] if isinstance(name, str) else name}


def _input(given: str | None, read_stdin: Callable[[], str]) -> dict[str, Any]:
    if given is None:
        return {}
    if given == STANDARD_INPUT:
        value = parse_json(read_stdin(), "The input on standard input")
    elif given.startswith("@"):
        value = parse_json(_text_of(Path(given[1:])), f"The input {given[1:]}")
    else:
        value = parse_json(given, "The input")
    if not isinstance(value, dict):
        raise CouldNotStart('The input has to be a JSON object, such as {"n": 1}.')
    return value


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CouldNotStart(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CouldNotStart(f"{path} is not UTF-8 text.") from None


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CouldNotStart("Standard input is not UTF-8 text.") from None


def parse_json(text: str, where: str) -> Any:
    """Decode strictly: no NaN, no number that would turn into infinity.

    Raises:
        CouldNotStart: with line and column, which msgspec does not count.
    """
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise CouldNotStart(f"{where} is nested too deeply.") from None
    except (msgspec.MsgspecError, ValueError) as error:
        reason = str(error)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        pass
    raise CouldNotStart(f"{where} is not JSON: {reason}.")
