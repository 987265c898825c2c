"""A server that gives tokens for refresh tokens, and tells an IMAP server whose a token is (RFC 6749, RFC 7662)."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class TokenServer:
    """`users`: refresh token → user, while it is valid. `asked` are the forms that clients sent.

    `failing`: a status that it answers with instead. `life`: seconds that tokens last, as it says. `rotates`: each
    refresh token is taken once; with `strict` one that is shown again ends the grant (RFC 9700, 4.14.2).
    """

    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.tokens: dict[str, str] = {}  # access token → user
        self.asked: list[dict[str, str]] = []
        self.failing: tuple[int, bytes] | None = None
        self.life: Any = 3_600
        self.rotates = self.strict = False
        self.used: dict[str, str] = {}  # refresh token that was taken → user
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
                user = outer.tokens.get(token)
                self.answer(200, {"active": user is not None, "user": user or ""})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                outer.asked.append(form)
                if outer.failing is not None:
                    self.answer(*outer.failing)
                else:
                    self.answer(*outer.token(form))

            def answer(self, status: int, content: Any) -> None:
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        user = self.users.get(form.get("refresh_token", ""))
        if self.strict and form.get("refresh_token") in self.used:
            self.users = {token: each for token, each in self.users.items() if each != self.used[form["refresh_token"]]}
        if form.get("grant_type") != "refresh_token" or user is None:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        token = f"token-{len(self.asked)}"
        self.tokens[token] = user
        given: dict[str, Any] = {"access_token": token, "expires_in": self.life, "token_type": "Bearer"}
        if self.rotates:
            self.used[form["refresh_token"]] = self.users.pop(form["refresh_token"])
            given["refresh_token"] = f"refresh-{len(self.asked)}"
            self.users[given["refresh_token"]] = user
        return 200, given

    def expire(self) -> None:
        """Every token is refused from now on."""
        self.tokens.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
