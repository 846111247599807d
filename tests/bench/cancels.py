"""How long a call in flight lives on after the request to cancel its run; with the API and the worker in two processes."""

import asyncio
import time
from typing import Any

import httpx


class Callee:
    """An HTTP service that never answers; it tells when a call has come, and when its connection was closed."""

    def __init__(self) -> None:
        self.come: asyncio.Queue[None] = asyncio.Queue()
        self.cut: asyncio.Queue[float] = asyncio.Queue()

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._take, "127.0.0.1", 0)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.come.put_nowait(None)
        await reader.read()
        self.cut.put_nowait(time.perf_counter())
        writer.close()


def _calling(port: int) -> dict[str, Any]:
    config = {"url": f"http://127.0.0.1:{port}/"}
    data = {"step_type": "http.request", "config": config}
    return {"nodes": [{"id": "call", "type": "step", "position": {"x": 0, "y": 0}, "data": data}], "edges": []}


async def cancels(api: str, token: str, runs: int) -> list[float]:
    """Milliseconds from the request to the call being cut, of one run after another, sorted."""
    callee, times = Callee(), []
    server = await callee.listen()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{api}/api/v1", headers=headers, timeout=30) as client:
        definition = _calling(server.sockets[0].getsockname()[1])
        made = await client.post("/workflows", json={"name": "cancels", "definition": definition})
        path = f"/workflows/{made.json()['id']}"
        (await client.post(f"{path}/publish")).raise_for_status()
        for _ in range(runs):
            run_id = (await client.post(f"{path}/run", json={"input": {}})).json()["id"]
            await callee.come.get()
            asked = time.perf_counter()
            (await client.post(f"/runs/{run_id}/cancel")).raise_for_status()
            times.append((await callee.cut.get() - asked) * 1000)
    server.close()
    return sorted(times)
