"""A step type with nothing to do: what is left is what making its start and its end durable costs.

Loaded by the worker, it also notes when commits have come back, where the bench asks for that.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from stepwire.db import journal
from stepwire.db.entries import Entry
from stepwire.steps.base import EffectContext, Outcome, StepDefaults


class NoteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: Any = None


class Note(StepDefaults):
    """An effect: journalled before it begins, and again when it has ended."""

    type = "bench.note"
    kind = "effect"
    title = "Note"
    description = "Gives its value back."
    config = NoteConfig

    async def execute(self, config: NoteConfig, context: EffectContext) -> Outcome:
        return Outcome({"value": config.value})


def note_commits(notes: Path) -> None:
    """Write a line for each event once its commit has come back: the run, the number, the time. It is written later, so
    that nobody waits for it.
    """
    append = journal.append

    async def noted(pool: Any, entries: Sequence[Entry]) -> Any:
        written = await append(pool, entries)
        at = time.time()
        lines = [f"{entry.run_id} {event.seq} {at}\n" for entry in entries for event in entry.events]
        asyncio.get_running_loop().call_later(0.02, _write, notes, "".join(lines))
        return written

    journal.append = noted  # the runner asks the module for it each time


def _write(notes: Path, lines: str) -> None:
    with notes.open("a") as file:
        file.write(lines)


if "BENCH_COMMITS" in os.environ:
    note_commits(Path(os.environ["BENCH_COMMITS"]))


def install(folder: Path) -> None:
    """Make this an installed package for whoever has ``folder`` on the path."""
    (folder / "durable_step.py").write_text(Path(__file__).read_text())
    about = folder / "stepwire_bench-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stepwire-bench\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[stepwire.steps]\nnote = durable_step:Note\n")
