"""What the documentation sends when somebody tries an operation out; each is taken as it is."""

from typing import Any

GREETING: dict[str, Any] = {
    "nodes": [
        {"id": "start", "type": "step", "position": {"x": 0, "y": 0}, "data": {"step_type": "trigger.manual"}},
        {
            "id": "greet",
            "type": "step",
            "position": {"x": 240, "y": 0},
            "data": {"step_type": "core.transform", "config": {"values": {"text": "Hello {{ input.name }}"}}},
        },
    ],
    "edges": [{"id": "start-greet", "source": "start", "target": "greet"}],
    "viewport": {"x": 0, "y": 0, "zoom": 1},
}
NAME_SCHEMA: dict[str, Any] = {
    "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"],
}  # fmt: skip


def _example(summary: str, value: Any) -> dict[str, Any]:
    return {"summary": summary, "value": value}


BODIES: dict[str, dict[str, Any]] = {
    "createWorkflow": {
        "greeting": _example(
            "A greeting", {"name": "Greeting", "definition": GREETING, "input_schema": NAME_SCHEMA}
        ),
        "empty": _example("An empty draft", {"name": "Untitled"}),
    },
    "updateWorkflow": {"rename": _example("Another name, the rest as it is", {"name": "Friendly greeting"})},
    "validateWorkflow": {
        "stored": _example("What is stored", {}),
        "sent": _example("A definition in its place", {"definition": GREETING}),
    },
    "startRun": {"greet": _example("For the greeting", {"input": {"name": "Ada"}})},
    "resumeRun": {"approve": _example("An approval", {"step_id": "approve", "data": {"approved": True}})},
}  # fmt: skip
