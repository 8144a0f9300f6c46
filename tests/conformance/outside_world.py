"""A proxy that lets nothing out, and notes who was asked for: no local job concerns the world.

What heeds no proxy variables is not seen; the SDKs' HTTP libraries all do.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Gatekeeper:
    """`variables` make a client's every way out of this machine lead here."""

    def __init__(self, port: int, asked: list[str]) -> None:
        proxy = f"http://127.0.0.1:{port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        self.variables = dict.fromkeys(names, proxy)
        self.asked = asked


@contextmanager
def gatekeeper() -> Iterator[Gatekeeper]:
    asked: list[str] = []

    class Refusal(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        do_GET = do_PUT = do_POST = do_HEAD = do_CONNECT  # noqa: N815 - named by http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Gatekeeper(server.server_port, asked)
        server.shutdown()
