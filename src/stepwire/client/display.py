"""How a run is shown while it happens, on stderr: a table on a terminal, lines on anything else."""

import sys
from datetime import UTC, datetime, timedelta, tzinfo
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stepwire.client.progress import Progress, StepLine, clean, duration
from stepwire.client.stream import Disconnected, Event, Frame, Quiet, Snapshot

_MARKS = {
    "pending": ("·", "dim"), "running": ("▶", "cyan"), "waiting": ("◷", "yellow"), "completed": ("✓", "green"),
    "failed": ("✗", "red"), "skipped": ("∅", "dim"), "cancelled": ("◼", "magenta"), "queued": ("·", "dim"),
    "paused": ("◷", "yellow"),
}  # fmt: skip
_FIRST = ("running", "waiting", "failed")  # what is shown of more steps than there are lines
BAR_WIDTH = 30
FRAMES_PER_SECOND = 10


class Display(Protocol):
    """Takes frames, shows them."""

    progress: Progress

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, frame: Frame) -> None:
        """Take the next frame."""


def display_for(stream: TextIO) -> Display:
    """A table where the cursor can be moved, lines elsewhere."""
    console = Console(file=stream, highlight=False)
    if stream.isatty() and not console.is_dumb_terminal:
        return TableDisplay(console)
    return LineDisplay(stream)


class LineDisplay:
    """One line per event that matters: for logs, pipes and CI."""

    def __init__(self, out: TextIO = sys.stderr, zone: tzinfo | None = None) -> None:
        self.progress = Progress()
        self._out = out
        self._zone = zone  # None: the machine's
        self._is_cut_off = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.flush()

    def show(self, frame: Frame) -> None:
        match frame:
            case Snapshot():
                self.progress.begin(frame)
                self._connection(datetime.now(UTC), None)
            case Event():
                step = self.progress.take(frame)
                self._line(frame.at, self._run(frame) if step is None else self._step(frame, step))
            case Quiet():
                self._line(datetime.now(UTC), self._quiet())
            case Disconnected(reason=reason):
                self._connection(datetime.now(UTC), reason)

    def _connection(self, at: datetime, trouble: str | None) -> None:
        """Said once when it goes and once when it is back, not with every try between."""
        if trouble is not None and not self._is_cut_off:
            self._line(at, f"the connection is {clean(trouble)}; connecting again")
        elif trouble is None and self._is_cut_off:
            self._line(at, "connected again")
        self._is_cut_off = trouble is not None

    def _line(self, at: datetime, text: str | None) -> None:
        if text is not None:
            print(f"{at.astimezone(self._zone):%H:%M:%S} {text}", file=self._out, flush=True)

    def _run(self, event: Event) -> str | None:
        status = event.event.removeprefix("run.")
        if status == "queued":
            return None
        return f"run started, {_steps(len(self.progress.steps))}" if status == "started" else f"run {status}"

    def _step(self, event: Event, step: StepLine) -> str | None:
        name, data = clean(event.step_id or ""), event.data
        match event.event:
            case "step.completed":
                return f"{name} completed{_took(step)}{_attempts(step)}{_noted(step)}"
            case "step.retrying":
                pause = _instant(data.get("next_attempt_at")) - event.at
                again = f"; again in {duration(pause.total_seconds())}" if pause > timedelta() else ""
                return f"{name} failed at attempt {step.attempt}{_noted(step)}{again}"
            case "step.failed":
                goes_on = "; the run goes on" if data.get("handles") else ""
                return f"{name} failed{_took(step)}{_attempts(step)}{_noted(step)}{goes_on}"
            case "step.waiting":
                until = data.get("until")
                return f"{name} waits " + (step.note if until is None else f"until {self._clock(_instant(until))}")
            case "step.skipped" | "step.cancelled":
                return f"{name} {step.status}"
        return None

    def _clock(self, at: datetime) -> str:
        local = at.astimezone(self._zone)
        is_soon = abs(local - datetime.now(UTC)) < timedelta(hours=12)
        return f"{local:%H:%M:%S}" if is_soon else f"{local:%Y-%m-%d %H:%M:%S}"

    def _quiet(self) -> str | None:
        """A long silence is explained; a run that nobody has taken up yet too."""
        if self.progress.run_status == "queued":
            return "run queued; no worker has taken it up yet"
        active = [name for name, step in self.progress.steps.items() if step.status == "running"]
        shown = ", ".join(map(clean, active[:5])) + (f" and {len(active) - 5} more" if len(active) > 5 else "")
        return f"still running: {shown}" if active else None


class TableDisplay:
    """A line per step with its state, attempt and time, and a bar over all of them; drawn again as they change."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress()
        self._console = console
        self._trouble = ""
        self._skew = timedelta()  # from our clock to the server's
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=FRAMES_PER_SECOND, transient=False
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, frame: Frame) -> None:
        match frame:
            case Snapshot():
                self.progress.begin(frame)
                self._trouble = ""
            case Event():
                self.progress.take(frame)
                self._skew = frame.at - datetime.now(UTC)
            case Disconnected(reason=reason):
                self._trouble = f"the connection is {clean(reason)}; connecting again"

    def _render(self) -> RenderableType:
        steps = list(self.progress.steps.items())
        room = max(self._console.height - 4, 5)
        shown = steps if len(steps) <= room else _urgent(steps, room - 1)
        table = Table.grid(padding=(0, 2), expand=True)  # so that the notes give way, not the names
        for column in range(4):
            table.add_column(no_wrap=True, justify="right" if column == 3 else "left")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        now = datetime.now(UTC) + self._skew
        for name, step in shown:
            table.add_row(*_row(name, step, now))
        parts: list[RenderableType] = [table]
        if len(shown) < len(steps):
            parts.append(Text(f"  … and {len(steps) - len(shown)} more", style="dim"))
        parts.append(self._bar(len(steps)))
        if self._trouble:
            parts.append(Text(self._trouble, style="yellow", no_wrap=True, overflow="ellipsis"))
        return Group(*parts)

    def _bar(self, total: int) -> RenderableType:
        settled, status = self.progress.settled, self.progress.run_status
        bar = Table.grid(padding=(0, 2))
        style = "red" if status in ("failed", "cancelled") else "green"
        bar.add_row(
            ProgressBar(total=max(total, 1), completed=settled, width=BAR_WIDTH, complete_style=style),
            Text(f"{settled}/{total}"),
            Text(status, style=_MARKS.get(status, ("", ""))[1]),
        )
        return bar


def _urgent(steps: list[tuple[str, StepLine]], room: int) -> list[tuple[str, StepLine]]:
    """The steps that something is going on with, then those that settled last; in the drawn order."""

    def rank(step: StepLine) -> tuple[int, float]:
        if step.status in _FIRST:
            return (0, 0.0)
        return (1, -step.ended_at.timestamp()) if step.ended_at is not None else (2, 0.0)

    chosen = {name for name, _ in sorted(steps, key=lambda each: rank(each[1]))[:room]}
    return [each for each in steps if each[0] in chosen]


def _row(name: str, step: StepLine, now: datetime) -> tuple[Text, ...]:
    mark, style = _MARKS.get(step.status, ("?", ""))
    seconds = step.seconds(now)
    return (
        Text(f"{mark} {clean(name)}", style=style),
        Text(step.status, style=style),
        Text(f"attempt {step.attempt}" if step.attempt > 1 else "", style="yellow"),
        Text("" if seconds is None else duration(seconds)),
        Text(step.note, style="red" if step.status == "failed" else "dim"),
    )


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count:,} steps"


def _took(step: StepLine) -> str:
    seconds = step.seconds()
    return "" if seconds is None else f" in {duration(seconds)}"


def _attempts(step: StepLine) -> str:
    return f", attempt {step.attempt}" if step.attempt > 1 else ""


def _noted(step: StepLine) -> str:
    if not step.note:
        return ""
    return f" {step.note}" if step.note.startswith("→") else f": {step.note}"


def _instant(text: str | None) -> datetime:
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)
