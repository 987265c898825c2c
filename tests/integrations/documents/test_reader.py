"""The child limits itself before it reads."""

import subprocess
import sys
from pathlib import Path

import msgspec

from chittycan.integrations.documents import reader
from chittycan.integrations.documents.document import Document


def _run(body: str) -> subprocess.CompletedProcess[bytes]:
    """The real child, with a reader of plain text that does `body`."""
    program = f"""
import sys
from chittycan.integrations.documents import reader
def read(data, max_chars):
    {body}
reader._READERS["text"] = read
reader.CPU_SECONDS = 1
sys.exit(reader.main("text", 10))
"""
    return subprocess.run([sys.executable, "-c", program], input=b"x", capture_output=True, timeout=60, check=False)


def test_memory_is_limited() -> None:
    found = msgspec.json.decode(_run("return bytearray(2 << 30)").stdout, type=Document)
    assert found.defects == (reader.TOO_MUCH_MEMORY,)


def test_processor_time_is_limited() -> None:
    assert _run("while True: pass").returncode < 0


def test_no_file_can_be_written(tmp_path: Path) -> None:
    done = _run(f"open({str(tmp_path / 'x')!r}, 'wb', buffering=0).write(b'x')")
    assert b"File too large" in done.stderr


def test_broken_text_can_be_sent_back() -> None:
    assert reader.read("text", b"\xed\xa0\x80", 10).text
