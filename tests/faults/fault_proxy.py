"""Stands between a client and a cloud at a real socket, spoils chosen answers and counts them.

What a cloud refuses it never sees. What is reset, slow, cut short or garbled it has carried out
already: only its answer is lost, which is the harder case for the client.
"""

import http.client
import os
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, cast
from urllib.parse import urlsplit

LOGIN_PAGE = b"<html><title>Sign in to the guest network</title></html>"
# These belong to one connection, not to the message.
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Rule:
    """Spoils the matching requests from the `after`-th on, for as often as `times` says.

    `how` is an answer that the cloud never sees the request for, or one of reset, slow, truncated,
    not JSON and untrusted.
    """

    matches: Callable[[Request], bool]
    how: Answer | str
    times: int
    after: int = 0
    seen: int = 0
    spoilt: int = 0


@dataclass
class FaultProxy:
    """One listener in front of one cloud; over TLS where it is given certificates."""

    upstream: str
    ca_file: str = ""
    tls: ssl.SSLContext | None = None
    untrusted: ssl.SSLContext | None = None
    rule: Rule | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def tries(self) -> int:
        """How often the client has made the call since there is a rule.

        Of connections whose certificate is refused, those: what is called on others is not told.
        """
        if self.rule is None:
            return 0
        is_untrusted = self.rule.how == "untrusted"
        return self.rule.spoilt if is_untrusted else self.rule.seen - self.rule.after

    @contextmanager
    def listening(self) -> Iterator["FaultProxy"]:
        server = _Server(self)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def certificates(self) -> ssl.SSLContext | None:
        """Those for the next connection: a client that refuses them counts as a try."""
        rule = self.rule
        if rule is None or rule.how != "untrusted":
            return self.tls
        with self._lock:
            if rule.spoilt >= rule.times:
                return self.tls
            rule.spoilt += 1
        return self.untrusted

    def fault(self, request: Request) -> Answer | str | None:
        rule = self.rule
        if rule is None or rule.how == "untrusted" or not rule.matches(request):
            return None
        with self._lock:
            rule.seen += 1
            if rule.seen <= rule.after or rule.spoilt >= rule.times:
                return None
            rule.spoilt += 1
        return rule.how

    def forward(self, request: Request) -> Answer:
        """The cloud's own answer, its addresses changed to this proxy's."""
        place = urlsplit(self.upstream)
        if place.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_file)
            connection = http.client.HTTPSConnection(place.netloc, timeout=120, context=context)
        else:
            connection = http.client.HTTPConnection(place.netloc, timeout=120)
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read()
            headers = {
                name: self._here(value)
                for name, value in answer.getheaders()
                if name.lower() not in OF_THE_CONNECTION
            }
            if "json" in (answer.headers.get("content-type") or ""):
                body = self._here(body.decode()).encode()
            if request.method == "HEAD":
                headers["Content-Length"] = answer.headers.get("content-length") or "0"
            return Answer(answer.status, headers, body)
        finally:
            connection.close()

    def _here(self, text: str) -> str:
        return text.replace(urlsplit(self.upstream).netloc, f"127.0.0.1:{self.port}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, so that a failed handshake holds up nobody."""
        context = self.proxy.certificates()
        if context is None:
            super().finish_request(request, client_address)
            return
        with suppress(OSError), context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that have had enough just leave."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _proxy(self) -> FaultProxy:
        return cast(_Server, self.server).proxy

    def _answer(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        request = Request(
            self.command, self.path, dict(self.headers.items()), self.rfile.read(length)
        )
        proxy = self._proxy
        fault = proxy.fault(request)
        if isinstance(fault, Answer):
            self._send(fault)
            return
        answer = proxy.forward(request)
        if fault == "reset":
            # Without lingering the end of a connection is a reset.
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            os.close(self.connection.detach())
        elif fault == "slow":
            proxy.closing.wait(60)
            self.close_connection = True
        elif fault == "truncated":
            self._send(answer, cut=True)
            self.close_connection = True
        elif fault == "not JSON":
            self._send(Answer(200, {"Content-Type": "text/html"}, LOGIN_PAGE))
        else:
            self._send(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _answer  # noqa: N815

    def _send(self, answer: Answer, cut: bool = False) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        has_body = self.command != "HEAD" and answer.status != 204
        if has_body:
            # An empty body that is cut short lacks what it was said to have.
            self.send_header("Content-Length", str(len(answer.body) or 10 * cut))
        self.end_headers()
        if has_body:
            self.wfile.write(answer.body[: len(answer.body) // 2] if cut else answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's own name
        """The test counts; nobody reads a log."""
