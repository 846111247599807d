"""Followers of runs that go on watching whatever happens to the servers: each is to have every event once, and in order."""

import json
import random
import threading
import time
from collections.abc import Sequence

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from stack import PATIENCE_SECONDS, Api

FINISHED = "finished"


class Followers:
    """One thread for each; ``seen`` is run id to the numbers of the events that its follower was sent."""

    def __init__(self, apis: Sequence[Api]) -> None:
        self._apis = apis
        self._threads: list[threading.Thread] = []
        self._is_over = threading.Event()
        self.seen: dict[str, list[int]] = {}

    def follow(self, run_id: str, chance: random.Random) -> None:
        seen = self.seen[run_id] = []
        thread = threading.Thread(
            target=self._keep_on, args=(run_id, seen, random.Random(chance.random())), daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        """Wait until each has heard of the last end of its run, which all of them have come to."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _keep_on(self, run_id: str, seen: list[int], chance: random.Random) -> None:
        """Until the run is over for good: a run that has failed may be taken up again while the others go on."""
        rest = 0.5
        while not self._is_over.is_set():
            if self._connect(run_id, seen, chance):
                rest *= 2  # else a thousand followers of what is over would be most of what the servers see
            self._is_over.wait(chance.uniform(0, rest))
        deadline = time.monotonic() + 10 * PATIENCE_SECONDS
        while time.monotonic() < deadline and not self._connect(run_id, seen, chance):
            time.sleep(0.05)

    def _connect(self, run_id: str, seen: list[int], chance: random.Random) -> bool:
        """One connection, which it may leave in the middle by itself; whether the server said that this was all."""
        api = chance.choice(self._apis)
        url = f"{api.url.replace('http', 'ws')}/ws/runs/{run_id}?after={len(seen)}"
        patience = (
            chance.uniform(0.1, 3.0) if chance.random() < 0.3 and not self._is_over.is_set() else PATIENCE_SECONDS
        )
        headers = {"Authorization": f"Bearer {api.token()}"}
        try:
            with connect(url, additional_headers=headers, proxy=None, open_timeout=10, close_timeout=1) as socket:
                while True:
                    frame = json.loads(socket.recv(patience))
                    if frame["type"] == "event":
                        seen.append(frame["seq"])
        except ConnectionClosed as closed:
            return closed.rcvd is not None and closed.rcvd.reason == FINISHED
        except (OSError, EOFError, TimeoutError, WebSocketException):
            return False
