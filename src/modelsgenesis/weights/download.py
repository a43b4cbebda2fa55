"""Downloading over lines that break: a file arrives whole and checked, or its beginning waits for the next try."""

import http.client
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from modelsgenesis.core.errors import DataError, WeightsError
from modelsgenesis.core.files import reason, sha256
from modelsgenesis.weights.partial_file import PartialFile
from modelsgenesis.weights.refusals import BrokenOffError, of_line, of_page, of_response

CHUNK = 2**18  # bytes at a time
GAIN = 2**16  # bytes that make a try worth while: after it, patience starts anew
LONGEST_PAUSE_S = 60.0
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")

Progress = Callable[[int, int | None], None]  # bytes there, and of how many, if that is known


@dataclass(frozen=True)
class Patience:
    """How long and how often a download is tried.

    Args:
        tries: in a row that bring nothing new.
        stall_s: without a byte, after which a line counts as dead.
        pause_s: before the second try; it doubles from try to try.
    """

    tries: int = 5
    stall_s: float = 60.0
    pause_s: float = 1.0

    def wait(self, tries: int, requested_s: float) -> None:
        """Sleep after a number of failed tries, at least as long as the server requested."""
        time.sleep(min(LONGEST_PAUSE_S, max(requested_s, self.pause_s * 2 ** (tries - 1))))


def download(
    url: str,
    into: Path,
    *,
    size: int | None = None,
    checksum: str | None = None,
    patience: Patience | None = None,
    progress: Progress = lambda done, total: None,
) -> str:
    """Download a file; called again after an error, it continues where it was.

    Until the file is whole it is `into` with .part behind its name, beside it what its resuming needs. Proxies are
    those of the system: http_proxy, https_proxy and no_proxy where they are set.

    Args:
        url: https or http.
        into: the file.
        size: bytes it must have, if that is known.
        checksum: its SHA-256, if that is known.
        patience: with lines that break.
        progress: called from time to time with how much is there.
    Returns:
        Its SHA-256.
    Raises:
        WeightsError: it cannot be had, or is not what was expected.
        DataError: the disk is full or the folder cannot be written.
    """
    if urlsplit(url).scheme not in ("https", "http"):
        raise WeightsError(f"{url}: not an address of the web; give one that begins with https://")
    part = PartialFile(into, url)
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        return _tried(part, size, checksum, patience or Patience(), progress)
    except OSError as error:
        raise DataError(f"{part.path}: could not be written ({reason(error)})") from error


def _tried(part: PartialFile, size: int | None, checksum: str | None, patience: Patience, progress: Progress) -> str:
    """Receive a file until it is complete, and check it."""
    tries, before = 0, part.length
    earlier, begun = before > 0, False
    while True:
        try:
            _receive(part, size, patience.stall_s, progress, begun=begun)
            found = sha256(part.path)
            if checksum in (None, found):
                part.finish()
                return found
            part.discard()
            if not earlier:
                raise WeightsError(
                    f"{part.url}: its SHA-256 is {found}, but must be {checksum}. What came was deleted; the file "
                    "there has changed, or was tampered with on its way: ask its publisher"
                )
            earlier, before = False, 0  # what was there before may be to blame: once more, from the first byte
        except BrokenOffError as error:
            gained, before = part.length - before, part.length
            begun = begun or gained > 0
            tries = 1 if gained >= GAIN else tries + 1
            if tries >= patience.tries:
                raise WeightsError(f"{part.url}: {error}; {part.kept()}") from error
            patience.wait(tries, error.wait_s)


def _receive(part: PartialFile, size: int | None, stall_s: float, progress: Progress, *, begun: bool) -> None:
    """Request the missing bytes and append them.

    Raises:
        BrokenOffError: it is worth another try.
        WeightsError: it is not.
    """
    if not part.validator:
        part.discard()
    offset = part.length
    headers = {"User-Agent": "modelsgenesis", "Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": part.validator}
    try:
        response = build_opener(_Redirects).open(Request(part.url, headers=headers), timeout=stall_s)
    except HTTPError as error:
        with error:
            if error.code != 416:
                raise of_response(part.url, error) from error
            if error.headers.get("Content-Range") == f"bytes */{offset}":
                return  # it was whole already
            part.discard()
            raise BrokenOffError("the server lacks the rest of the file") from error
    except (URLError, OSError, http.client.HTTPException) as error:
        raise of_line(part.url, error, begun=begun) from error
    with response:
        total = _agreed(part, response, offset)
        _check_room(part, size, total)
        _append(part, response, total if total is not None else size, progress)


def _agreed(part: PartialFile, response: http.client.HTTPResponse, offset: int) -> int | None:
    """Find out what the server sends: the rest, or the whole, which then starts anew.

    Returns:
        Bytes of the whole file, if the server says.
    """
    of_page(part.url, response.headers.get("Content-Type", ""), b"")
    if response.status == 206:
        span = RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != offset:
            part.discard()
            raise BrokenOffError("the server sent other bytes than those requested")
        return int(span[3])
    if response.status != 200:
        raise WeightsError(f"{part.url}: the server answered {response.status} {response.reason}, not with a file")
    mark = response.headers.get("ETag", "")
    part.begin(response.headers.get("Last-Modified", "") if mark.startswith("W/") or not mark else mark)
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() else None


def _check_room(part: PartialFile, size: int | None, total: int | None) -> None:
    if None not in (size, total) and size != total:
        part.discard()
        raise WeightsError(
            f"{part.url}: {total} bytes are offered, but the file must have {size}; it has changed, or something on "
            "the way answers in its place"
        )
    missing = (total or size or 0) - part.length
    free = shutil.disk_usage(part.into.parent).free
    if missing > free:
        raise WeightsError(
            f"{part.into.parent}: {missing / 1e6:.0f} MB are to come and {free / 1e6:.0f} MB are free; make room"
        )


def _append(part: PartialFile, response: http.client.HTTPResponse, total: int | None, progress: Progress) -> None:
    done = part.length
    progress(done, total)
    with open(part.path, "ab") as file:
        while chunk := _next(part.url, response):
            if not done:
                _check_beginning(part, chunk)
            done += len(chunk)
            if total is not None and done > total:
                part.discard()
                raise WeightsError(f"{part.url}: the server sends more than the {total} bytes of the file; not kept")
            file.write(chunk)
            file.flush()  # what is counted is what is there
            progress(done, total)
    if total is not None and done < total:
        raise BrokenOffError(f"the line broke after {done} of {total} bytes")
    if not done:
        raise BrokenOffError("the server sent nothing")


def _check_beginning(part: PartialFile, chunk: bytes) -> None:
    try:
        of_page(part.url, "", chunk)
    except WeightsError:
        part.discard()
        raise


def _next(url: str, response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise of_line(url, error, begun=True) from error


class _Redirects(HTTPRedirectHandler):
    """Follows redirections, but not from a checked line to one that anyone can change."""

    def redirect_request(self, req: Request, *arguments: object) -> Request | None:
        new = super().redirect_request(req, *arguments)  # type: ignore[arg-type]
        if new is not None and req.type == "https" and new.type != "https":
            raise WeightsError(f"{req.full_url}: sends on to {new.full_url}, which is not encrypted; not followed")
        return new
