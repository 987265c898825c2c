"""The files that a person adds to a draft: which there may be, and that what goes out is what was approved. Pure."""

import hashlib
import mimetypes
import re
from collections.abc import Mapping, Sequence

from chittycan.errors import InvalidRequest
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.email.compose import File
from chittycan.store.drafts import Attached

MOST_FILES = 20
MOST_BYTES = 15 * 1024 * 1024  # of all files of a draft: many servers take mails of 25 MB, and base64 adds a third
LONGEST_NAME = 120  # characters

_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,80}")
_ANY = "application/octet-stream"


def changed(known: Sequence[Attached], attach: Mapping[str, bytes], detach: Sequence[str]) -> tuple[Attached, ...]:
    """The files of a draft with those of `attach` (name → content) and without those of `detach`.

    One of the same name takes the place of the other. Raises InvalidRequest.
    """
    found = {each.name: each for each in known}
    for name in detach:
        if found.pop(name, None) is None:
            raise InvalidRequest(
                f"no file {name!r} goes along", param="detach", fix="`can router drafts show` says which."
            )
    for given, content in attach.items():
        name = " ".join(_UNSAFE.sub("_", visible_characters(given)[0]).split())[-LONGEST_NAME:].strip()
        if not name.strip("._"):
            raise InvalidRequest(f"{given[:80]!r} is no name for a file", param="attach")
        found[name] = Attached(name=name, media_type=_media_type(name), size=len(content), sha256=sha256(content))
    total = sum(each.size for each in found.values())
    if len(found) > MOST_FILES or total > MOST_BYTES:
        problem = f"{len(found)} files of {total:,} bytes; at most {MOST_FILES} of {MOST_BYTES:,} bytes in all go along"
        raise InvalidRequest(problem, param="attach", fix="Send a link to what is larger.")
    return tuple(found.values())


def files(attached: Sequence[Attached], contents: Mapping[str, bytes]) -> tuple[File, ...]:
    """What goes out. `contents` by SHA-256. Raises InvalidRequest where one is not there, or not what it was."""
    found = []
    for each in attached:
        content = contents.get(each.sha256)
        if content is None or sha256(content) != each.sha256:
            fix = "Attach it again, and approve the draft."
            raise InvalidRequest(f"the file {each.name!r} is not there as it was attached", param="attach", fix=fix)
        found.append(File(name=each.name, media_type=each.media_type, content=content))
    return tuple(found)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _media_type(name: str) -> str:
    """By the name. What is a mail or has parts may not be encoded (RFC 2046, 5): it goes along as bytes."""
    guessed, encoding = mimetypes.guess_type(name)
    if guessed is None or encoding is not None or not _TYPE.fullmatch(guessed):
        return _ANY
    return _ANY if guessed.startswith(("message/", "multipart/")) else guessed
