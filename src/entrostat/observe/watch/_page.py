"""The report on a local page, written again when the records have changed."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_HOST = "127.0.0.1"
_LOGS = ("run.json", "records.jsonl", "samples.jsonl", "tokens.jsonl")


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away before it had the whole page."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Page:
    """Serves the report of a directory to this machine alone, under `/` and nothing else.

    The browser asks again by a header and keeps the place it was scrolled to; one more script, allowed by its hash as
    the page's own are, chooses again what the reader had chosen.

    Args:
        path: directory of a job or of a run.
        port: where; 0 takes a free one.
        every: seconds after which a browser asks again.

    Raises:
        ValueError: there is no run, or its files are damaged, or the port is taken.
    """

    def __init__(self, path: Path, *, port: int, every: float) -> None:
        self._path, self._every = path, max(1, round(every))
        self._seen: list[tuple[str, int, int]] = []
        self._keep = Path(__file__).with_name("keep.js").read_text(encoding="utf-8")
        self.final = False
        self._body = b""
        self.refresh()
        try:
            self._server = _Server((_HOST, port), self._handler())
        except OSError as error:
            raise ValueError(
                f"port {port} cannot be used: {error.strerror}. Leave out --port for a free one."
            ) from None

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{_HOST}:{self._server.server_port}/"

    def start(self) -> None:
        """Serve from a thread of its own."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def refresh(self) -> bool:
        """Write the page again if a file it is made of has changed; return whether one had."""
        from entrostat.observe.report import report_page  # NumPy and a template, which a look without a page spares

        seen = _state(self._path)
        if seen == self._seen:
            return False
        self._body = report_page(self._path, scripts=[self._keep]).encode()
        self._seen = seen
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # Under a foreign name this address may have been looked up by a foreign page.
                local = self.headers.get("Host", "").rpartition(":")[0] in (_HOST, "localhost")
                if self.path != "/" or not local:
                    self.send_error(404)
                    return
                body = page._body
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                if not page.final:
                    self.send_header("Refresh", str(page._every))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the terminal is the user's."""

        return Handler


def _state(path: Path) -> list[tuple[str, int, int]]:
    folders = [path, *sorted(path.glob("runs/*"))]
    files = [folder / name for folder in folders for name in _LOGS if (folder / name).is_file()]
    return [(str(file), (status := file.stat()).st_size, status.st_mtime_ns) for file in files]
