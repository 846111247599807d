"""The AsyncAPI document of the sockets. AsyncAPI's own parser reads it in `tests/browser`."""

from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from stack import Api
from stepwire.engine.events import EVENT_TYPES


@pytest.fixture(scope="module")
def document(server: Api) -> dict[str, Any]:
    return dict(httpx.get(f"{server.url}/docs/asyncapi.json", trust_env=False).raise_for_status().json())


def validator(document: dict[str, Any], name: str) -> Draft202012Validator:
    reference = document["components"]["messages"][name]["payload"]["$ref"]
    return Draft202012Validator({"$ref": reference, "components": document["components"]})


def test_every_message_has_an_example_that_fits_its_schema_and_no_other(document: dict[str, Any]) -> None:
    messages = document["components"]["messages"]

    for name, message in messages.items():
        for example in message["examples"]:
            fitting = [other for other in messages if validator(document, other).is_valid(example["payload"])]
            assert fitting == [name]
    assert set(EVENT_TYPES) < set(messages)


def test_each_channel_says_what_is_sent_and_what_is_taken(document: dict[str, Any]) -> None:
    sent = {
        name: {each["$ref"].rpartition("/")[2] for each in operation["messages"]}
        for name, operation in document["operations"].items()
    }

    assert {channel["address"] for channel in document["channels"].values()} == {"/ws/runs", "/ws/runs/{run_id}"}
    assert sent["sendRun"] == {"snapshot", "error", "pong", *EVENT_TYPES}
    assert sent["sendRuns"] == {"runs", "error", "pong", *(name for name in EVENT_TYPES if name.startswith("run."))}
    assert sent["receiveRun"] == sent["receiveRuns"] == {"ping", "auth"}
