"""Broken PDF, Word and Excel files through the reading of documents. `python -m bench.mutant_files [--quick]`.

Each is a good file with one to six wounds, made anew from a seed: in its bytes, or in the XML within, packed again. A
file counts as handled where it gave text, or a reason why not, in time; the process that asked must not notice more.
"""

import argparse
import random
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from bench.mutants import SEED, WOUNDS
from bench.run import machine, save
from chittycan.integrations.documents.document import Document
from chittycan.integrations.documents.extract import WALL_SECONDS, extract

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
EXCEL = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
COUNT = 600
LARGEST = 2_000_000  # bytes


def pdf(pages: int = 3, *, packed: bool = False) -> bytes:
    """After ISO 32000-1; `packed`: its contents are deflated."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for number in range(pages):
        content = b"BT /F1 12 Tf 14 TL 72 720 Td (Page %d of the lease) Tj T* (Rent: 900) Tj ET" % (number + 1)
        how = b""
        if packed:
            content, how = zlib.compress(content), b"/Filter /FlateDecode"
        objects.append(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), how, content))
        kids.append(len(objects) + 1)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, b" ".join(b"%d 0 R" % kid for kid in kids))
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    return out + head + table + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, len(out),
    )  # fmt: skip


def docx() -> bytes:
    rows = "".join(f"<w:tr><w:tc><w:p><w:r><w:t>Item {n}</w:t></w:r></w:p></w:tc></w:tr>" for n in range(9))
    body = f'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Lease</w:t></w:r></w:p><w:tbl>{rows}</w:tbl>'
    return _zipped({"word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'.encode()})


def xlsx() -> bytes:
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c><c r="B{n}"><v>{n}</v></c></row>' for n in range(1, 30))
    sheets = '<sheets><sheet name="A" sheetId="1" r:id="r1"/></sheets>'
    book = f'<workbook xmlns="{EXCEL}" xmlns:r="{LINKS}">{sheets}</workbook>'
    return _zipped({
        "xl/workbook.xml": book.encode(),
        "xl/_rels/workbook.xml.rels": b'<R xmlns="urn:x"><Relationship Id="r1" Target="worksheets/s.xml"/></R>',
        "xl/sharedStrings.xml": f'<sst xmlns="{EXCEL}"><si><t>Rent</t></si></sst>'.encode(),
        "xl/styles.xml": f'<styleSheet xmlns="{EXCEL}"><cellXfs><xf numFmtId="0"/></cellXfs></styleSheet>'.encode(),
        "xl/worksheets/s.xml": f'<worksheet xmlns="{EXCEL}"><sheetData>{rows}</sheetData></worksheet>'.encode(),
    })  # fmt: skip


def _zipped(parts: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _wounded(chance: random.Random, data: bytes) -> bytes:
    for _ in range(chance.randint(1, 6)):
        data = chance.choice(WOUNDS)(chance, data)[:LARGEST] or b"\n"
    return data


def _within(chance: random.Random, data: bytes) -> bytes:
    """An archive with one of its parts broken."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(list(parts))
    return _zipped({**parts, name: _wounded(chance, parts[name])})


def broken(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """(name, content); the same for the same seed."""
    chance = random.Random(seed)
    good = [("a.pdf", pdf()), ("a.docx", docx()), ("a.xlsx", xlsx()), ("a.pdf", pdf(packed=True))]
    for number in range(count):
        name, data = good[number % len(good)]
        inside = not name.endswith("pdf") and chance.random() < 0.7
        yield name, (_within if inside else _wounded)(chance, data)


def outcome(found: Document) -> str:
    """How a file was handled, in a word; "in silence" is a mistake of ours."""
    if found.text.strip():
        return "read, with defects" if found.defects or found.truncated else "read"
    return "refused, with a reason" if found.defects else "in silence"


def measure(seed: int, count: int) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    worst = 0.0
    for name, data in broken(seed, count):
        started = time.monotonic()
        found = extract(data, name)
        worst = max(worst, time.monotonic() - started)
        outcomes[outcome(found)] += 1
        reasons.update(found.defects if not found.text else ())
    top = dict(reasons.most_common(12))
    return {"files": count, "outcomes": dict(outcomes), "worst_seconds": round(worst, 2), "reasons": top}


def main() -> int:
    given = argparse.ArgumentParser(prog="bench.mutant_files", description=__doc__.splitlines()[0])
    given.add_argument("--quick", action="store_true", help="a tenth of the files")
    given.add_argument("--seed", type=int, default=SEED)
    options = given.parse_args()
    found = measure(options.seed, COUNT // 10 if options.quick else COUNT)
    print(found)
    result = {"machine": machine(), "seed": options.seed, **found}
    print(f"saved {save('mutant-files', result, options.quick)}")
    return 0 if "in silence" not in found["outcomes"] and found["worst_seconds"] < WALL_SECONDS + 1 else 1


if __name__ == "__main__":
    sys.exit(main())
