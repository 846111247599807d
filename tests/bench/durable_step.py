"""A step type with nothing to do: what is left is what making its start and its end durable costs."""

from pathlib import Path
from typing import Any

import msgspec

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


def install(folder: Path) -> None:
    """Make this an installed package for whoever has ``folder`` on the path."""
    (folder / "durable_step.py").write_text(Path(__file__).read_text())
    about = folder / "stepwire_bench-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stepwire-bench\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[stepwire.steps]\nnote = durable_step:Note\n")
