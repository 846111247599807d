"""The AsyncAPI document, as AsyncAPI's own parser reads it."""

from pathlib import Path

import node

from stack import Api


def test_the_document_of_the_sockets_has_no_fault(server: Api, tmp_path: Path) -> None:
    document = tmp_path / "asyncapi.json"
    document.write_bytes(server.http.get("/docs/asyncapi.json").content)

    node.run("node", "asyncapi.mjs", str(document))
