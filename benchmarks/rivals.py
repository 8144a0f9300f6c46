"""The plainest servers that do the same: what the local clouds are measured against."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
START_SECONDS = 60
# One image's answer: its digit and the sha256 of the model.
CLASSIFIED = json.dumps({"digits": [7], "model": "0" * 64}).encode()


@contextmanager
def plain_moto(log: Path) -> Iterator[str]:
    """moto's own server, which keeps all in memory or temporary files; yields its address."""
    (port,) = free_ports(1)
    program = Path(sys.executable).with_name("moto_server")
    with _running([str(program), "-p", str(port)], port, log):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def bare_uvicorn(
    log: Path, certificate: Path, private_key: Path, application: str = "echo"
) -> Iterator[str]:
    """uvicorn with nothing behind it but `echo` or `empty`, over the same TLS; its address."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", f"rivals:{application}", "--app-dir", str(HERE)]
    command += ["--port", str(port), "--no-access-log", "--lifespan", "off"]
    command += ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(private_key)]
    with _running(command, port, log):
        yield f"https://127.0.0.1:{port}"


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, in rising order."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = sorted(each.getsockname()[1] for each in sockets)
    for each in sockets:
        each.close()
    return ports


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that sends back what comes in."""
    del scope
    await _answer(send, await _body(receive))


async def empty(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that reads what comes in, and answers as much as `classify` does."""
    del scope
    await _body(receive)
    await _answer(send, CLASSIFIED)


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_until_listening(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"The server for port {port} did not start:\n{log.read_text()}")
