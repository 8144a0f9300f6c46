"""Users of an endpoint: load.py URL RATE, the key and a body's file on stdin; calls until it ends.

An open loop: every call has its time, whether the one before was answered or not. What each call
got is printed as JSON at the end.
"""

import hashlib
import http.client
import json
import os
import queue
import ssl
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

USERS = 48
Call = dict[str, Any]


def user(
    url: str, key: str, body: bytes, due: "queue.Queue[float | None]", calls: list[Call]
) -> None:
    """One connection, kept as long as it holds; a call that fails is told, never repeated."""
    context = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    host = urlsplit(url).netloc
    headers = {"x-functions-key": key, "content-type": "application/octet-stream"}
    connection = http.client.HTTPSConnection(host, timeout=30, context=context)
    while (at := due.get()) is not None:
        call: Call = {"due": at}
        try:
            connection.request("POST", "/api/classify", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            call |= {
                "status": answer.status,
                "package": answer.headers.get("x-package-version"),
                "body": hashlib.sha256(content).hexdigest(),
            }
        except (OSError, http.client.HTTPException) as error:
            call |= {"status": 0, "error": repr(error)}
            connection.close()
        call["done"] = time.monotonic()
        calls.append(call)
    connection.close()


def main() -> None:
    url, rate = sys.argv[1], float(sys.argv[2])
    key, file = sys.stdin.readline().strip(), sys.stdin.readline().strip()
    with open(file, "rb") as stream:  # noqa: PTH123 - a script of the standard library alone
        body = stream.read()
    due: queue.Queue[float | None] = queue.Queue()
    calls: list[Call] = []
    users = [threading.Thread(target=user, args=(url, key, body, due, calls)) for _ in range(USERS)]
    for each in users:
        each.start()
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    started, turn = time.monotonic(), 0
    while not over.is_set():
        at = started + turn / rate
        time.sleep(max(0.0, at - time.monotonic()))
        due.put(at)
        turn += 1
    for _ in users:
        due.put(None)
    for each in users:
        each.join()
    sys.stdout.write(json.dumps(calls))


if __name__ == "__main__":
    main()
