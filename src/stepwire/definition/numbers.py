"""Numbers of JSON, which has one kind of them: 2 and 2.0 are the same."""

from typing import Any


def with_integers(value: Any) -> Any:
    """The same JSON, its whole numbers all written as integers."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [with_integers(item) for item in value]
        case dict():
            return {key: with_integers(item) for key, item in value.items()}
        case _:
            return value
