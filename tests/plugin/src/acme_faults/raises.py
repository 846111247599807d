"""Cannot even be imported."""

raise RuntimeError("no license found")
