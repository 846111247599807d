"""Expressions where text is wanted, in a run."""

import pytest

from factories import chain, node
from stack import Api


@pytest.mark.parametrize(
    ("value", "said"), [(7, "7"), (1.5, "1.5"), (True, "true"), ({"a": [1]}, '{"a":[1]}'), ("x", "x"), (None, "")]
)
def test_a_place_for_text_takes_any_value_as_its_text(server: Api, value: object, said: str) -> None:
    log = node("log", "core.log", {"message": "{{ input.value }}"})
    answer = node("answer", "webhook.respond", {"headers": {"X-Value": "{{ input.value }}"}})

    run = server.execute(chain(log, answer), {"value": value})

    assert run["context"]["steps"]["log"]["output"] == {"message": said}
    assert run["output"]["answer"]["headers"] == {"X-Value": said}
