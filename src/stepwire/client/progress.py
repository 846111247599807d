"""What is known of a run while it is watched: its frames folded into one line per step."""

from datetime import datetime
from typing import Any

import msgspec

from stepwire.client.stream import Event, Snapshot

SETTLED = frozenset({"completed", "failed", "skipped", "cancelled"})
_STATUS_AFTER = {
    "step.scheduled": "running", "step.started": "running", "step.retrying": "waiting", "step.waiting": "waiting",
    "step.completed": "completed", "step.failed": "failed", "step.skipped": "skipped", "step.cancelled": "cancelled",
}  # fmt: skip
MAX_TEXT = 500


class StepLine(msgspec.Struct):
    """One step as it is shown. ``note`` is the last thing worth saying about it."""

    status: str = "pending"
    type: str = ""
    attempt: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    note: str = ""

    def seconds(self, now: datetime | None = None) -> float | None:
        """How long it took from its first attempt on, or has taken until ``now``."""
        end = self.ended_at or now
        return None if self.started_at is None or end is None else max((end - self.started_at).total_seconds(), 0.0)


class Progress:
    """A run's state, as far as its display needs it."""

    def __init__(self) -> None:
        self.steps: dict[str, StepLine] = {}
        self.run_status = "queued"
        self.failed_step: str | None = None
        self.last_at: datetime | None = None

    def begin(self, snapshot: Snapshot) -> None:
        """Learn the steps' names and order; their states come with the events, all of which follow."""
        for step_id in snapshot.step_statuses:
            self.steps.setdefault(step_id, StepLine())

    @property
    def settled(self) -> int:
        return sum(step.status in SETTLED for step in self.steps.values())

    def take(self, event: Event) -> StepLine | None:
        """Fold one event in; gives the step that it is about."""
        self.last_at = event.at
        if event.step_id is None:
            self._take_run(event)
            return None
        return self._take_step(event, event.step_id)

    def _take_run(self, event: Event) -> None:
        status = event.event.removeprefix("run.")
        self.run_status = {"started": "running", "resumed": "running", "retried": "running"}.get(status, status)
        self.failed_step = event.data.get("failed_step_id")

    def _take_step(self, event: Event, step_id: str) -> StepLine:
        step = self.steps.setdefault(step_id, StepLine())
        step.status = _STATUS_AFTER.get(event.event, step.status)
        step.type = event.data.get("step_type", step.type)
        step.attempt = event.data.get("attempt", step.attempt)
        if event.event == "step.started":
            step.started_at = step.started_at or event.at
            step.note = ""
        if event.event == "step.scheduled" and step.ended_at is not None:  # the run is retried
            step.started_at = step.ended_at = None
        if step.status in SETTLED:
            step.ended_at = event.at
        step.note = _note(step, event) or step.note
        return step


def _note(step: StepLine, event: Event) -> str:
    data = event.data
    match event.event:
        case "step.retrying" | "step.failed":
            return clean(str((data.get("error") or {}).get("message", "")))
        case "step.completed":
            return _result(step, data)
        case "step.waiting" if data.get("waits_for") == "run":
            return "for the run that it started"
        case "step.waiting" if data.get("until") is None:
            return "until somebody resumes it"
    return ""


def _result(step: StepLine, data: dict[str, Any]) -> str:
    """The way that a branch chose, the message of a log; other outputs are too long for a line."""
    handles = [handle for handle in data.get("handles", ()) if handle != "default"]
    if handles:
        return "→ " + clean(", ".join(map(str, handles)))
    output = data.get("output")
    if step.type == "core.log" and isinstance(output, dict):
        return clean(str(output.get("message", "")))
    return ""


def clean(text: str) -> str:
    """One line that is safe on a terminal: what a service answered may hold escape sequences."""
    line = "".join(character if character.isprintable() else " " for character in text[: MAX_TEXT + 1])
    return line if len(line) <= MAX_TEXT else line[:MAX_TEXT] + "…"


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 0.1:
        return f"{max(round(seconds * 1000), 1)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
