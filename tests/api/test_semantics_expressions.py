"""Expressions where text is wanted, in a run."""

import pytest

from factories import chain, node
from stack import Api


@pytest.mark.parametrize(
    ("value", "said"), [(7, "7"), (1.5, "1.5"), (True, "true"), ({"a": [1]}, '{"a":[1]}'), ("x", "x"), (None, "")]
)
def test_a_place_for_text_takes_any_value_as_its_text(server: Api, value: object, said: str) -> None:
    run = server.execute(chain(node("log", "core.log", {"message": "{{ input.value }}"})), {"value": value})

    assert run["output"] == {"log": {"message": said}}
