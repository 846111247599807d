"""The studio as `make studio` builds it from `src/studio`; what is built is never committed."""

from pathlib import Path

FILES = Path(__file__).parent / "dist"
