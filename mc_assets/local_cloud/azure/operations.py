"""Long-running operations: work that goes on after a 202, and its outcome, kept for good."""

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from typing import Any

from mc_assets.local_cloud.azure.kinds import OPERATIONS
from mc_assets.local_cloud.store import Document, DocumentStore

RUNNING, SUCCEEDED, FAILED = "InProgress", "Succeeded", "Failed"

logger = logging.getLogger(__name__)


class OperationError(Exception):
    """The work ended without success, for a reason its caller should read."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Operations:
    """Runs work in the background and remembers how it ended."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> str:
        """Begin the work and return the operation's id."""
        name = str(uuid.uuid4())
        self._store.put(OPERATIONS, name, {"status": RUNNING})
        task = asyncio.create_task(self._run(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return name

    def succeeded(self, result: Document) -> str:
        """Record an operation that is already over."""
        name = str(uuid.uuid4())
        self._store.put(OPERATIONS, name, {"status": SUCCEEDED, "result": result})
        return name

    def get(self, name: str) -> Document | None:
        return self._store.get(OPERATIONS, name)

    def recover(self) -> None:
        """Close what an earlier process left open.

        Deletions have been carried to their end by then, and a swap is written in one step, so
        what was under way has either happened or left no trace: clients read the resource itself.
        """
        for name, operation in self._store.items(OPERATIONS):
            if operation["status"] == RUNNING:
                self._store.put(OPERATIONS, name, {"status": SUCCEEDED})

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except OperationError as failure:
            self._fail(name, failure.code, failure.message)
        except Exception:
            logger.exception("Operation %s failed.", name)
            self._fail(name, "InternalServerError", "The operation failed; see the server's log.")
        else:
            self._store.put(OPERATIONS, name, {"status": SUCCEEDED})

    def _fail(self, name: str, code: str, message: str) -> None:
        error = {"code": code, "message": message}
        self._store.put(OPERATIONS, name, {"status": FAILED, "error": error})
