"""Whole objects from and to an object store, tried again where it fails, by a process of their own.

The library has threads, and a process forked from one that used it hangs at its first request: loader workers are
forked. So requests are lines of JSON to a process of this module, one for each process that has any.
"""

import atexit
import contextlib
import functools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, NamedTuple

from modelsgenesis.core.errors import AwayError, MissingExtraError

PIECE_BYTES = 2**20
AT_ONCE = 8  # objects that are uploaded
IN_PARTS_BYTES = 2**26  # an object of more is uploaded in parts, and appears when all of them are there
PART_BYTES = 2**25
STATUS = re.compile(r"status code: (4\d\d)")
AGAIN = ("408", "429")  # answers of a server that will do it later
NO_PERMISSION = (
    "no permission; are the credentials in the environment (AWS_ACCESS_KEY_ID ..., GOOGLE_APPLICATION_CREDENTIALS) the "
    "right ones?"
)
SETTINGS = ("AWS_", "GOOGLE_")  # how the environment variables begin that the library reads
END = {"end": True}


class Patience(NamedTuple):
    """How long a server may fail.

    Attributes:
        tries: of a request, before it is given up.
        pause_s: after the first, and twice as long after each other.
        stall_s: that nothing may come before a try is given up.
    """

    tries: int = 6
    pause_s: float = 0.5
    stall_s: float = 30.0


PATIENCE = Patience()


def ask(do: str, bucket: str, **request: Any) -> Iterator[dict[str, Any]]:
    """Have a request done, and yield what it gives.

    Args:
        do: "list", "get", "put" or "delete"; a function `_do_...` of this file.
        bucket: as a URL, such as s3://scans.
        request: its arguments.
    Raises:
        AwayError: the object store cannot be reached or refuses; or an object is not there.
        OSError: the disk is full, or cannot be written.
        MissingExtraError: obstore is not installed.
    """
    if find_spec("obstore") is None:
        raise MissingExtraError(f"{bucket} needs obstore; install it with: pip install -c constraints.txt '.[cloud]'")
    line = json.dumps({"do": do, "bucket": bucket, "patience": PATIENCE, **request})
    yield from helper_of(os.getpid()).ask(line, bucket)


@functools.cache
def helper_of(pid: int) -> "Helper":
    """The process that transfers for a process; one that was forked has another."""
    helper = Helper()
    atexit.register(helper.close)
    return helper


class Helper:
    """A process that does one request after the other, and ends with the process that asks."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings: dict[str, str] = {}  # that it was started with
        self.process: subprocess.Popen[str] | None = None

    def ask(self, line: str, bucket: str) -> Iterator[dict[str, Any]]:
        """Send a request, and yield its answers."""
        with self.lock:
            failure: dict[str, Any] = {}
            try:
                for answer in self._answers(line):
                    if "failed" in answer:
                        failure = answer
                    elif answer == END:
                        break
                    else:
                        yield answer
                else:
                    raise AwayError(f"{bucket}: the process that transfers was killed; is there enough memory?")
            except BaseException:
                self.close()  # what it would still answer is of no use to the next
                raise
        if failure.get("errno"):
            raise OSError(failure["errno"], failure["failed"], failure["path"])
        if failure:
            raise AwayError(failure["failed"], gone=failure["gone"])

    def _answers(self, line: str) -> Iterator[dict[str, Any]]:
        process = self._started()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(line + "\n")
            process.stdin.flush()
        yield from map(json.loads, process.stdout)

    def _started(self) -> "subprocess.Popen[str]":
        settings = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
        if self.process is None or self.process.poll() is not None or settings != self.settings:
            self.close()
            self.settings = settings
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modelsgenesis.core.transfers"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True,
            )  # fmt: skip
        return self.process

    def close(self) -> None:
        """End the process."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _do_list(store: Any, patience: Patience, *, url: str, prefix: str, below: bool) -> Iterator[dict[str, Any]]:
    """Yield the objects of a folder: key, bytes and time, in nanoseconds; the keys of folders in it end in /.

    Args:
        store: to look in.
        patience: with it.
        url: that is named in an error.
        prefix: "" or ends in /.
        below: those of folders in it, too.
    """
    import obstore

    def every() -> list[Any]:
        if below:
            return [each for some in obstore.list(store, prefix or None) for each in some]
        found = obstore.list_with_delimiter(store, prefix or None)
        return [*found["objects"], *found["common_prefixes"]]

    for each in _patiently(every, patience, url):
        folder = isinstance(each, str)
        yield {"key": f"{each}/", "bytes": 0, "ns": 0, "mark": ""} if folder else {"key": each["path"], **_told(each)}


def _do_get(store: Any, patience: Patience, *, url: str, key: str, path: str) -> Iterator[dict[str, Any]]:
    """Copy an object to a file, by one request, and yield its bytes and time."""
    import obstore

    def once() -> dict[str, Any]:
        found = obstore.get(store, key)
        written = 0
        with open(path, "wb") as file:
            for piece in found.stream(min_chunk_size=PIECE_BYTES):
                written += file.write(piece)
        if written != found.meta["size"]:
            raise ConnectionError(f"{written} of {found.meta['size']} bytes came")
        return _told(found.meta)

    yield _patiently(once, patience, url)


def _do_put(store: Any, patience: Patience, *, url: str, files: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Copy files to objects, each whole or not at all, and yield each one's key and mark once it is there.

    Args:
        store: to write to.
        patience: with it.
        url: of the folder.
        files: paths, by key.
    """
    import obstore

    def one(key: str) -> dict[str, Any]:
        def once() -> Any:
            with open(files[key], "rb") as file:
                parts = os.fstat(file.fileno()).st_size > IN_PARTS_BYTES
                return obstore.put(store, key, file, use_multipart=parts, chunk_size=PART_BYTES)

        return {"key": key, "mark": _patiently(once, patience, f"{url} ({key})")["e_tag"] or ""}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(one, files)


def _do_delete(store: Any, patience: Patience, *, url: str, keys: list[str]) -> Iterator[dict[str, Any]]:
    """Delete objects; one that is not there is no error."""
    import obstore

    for key in keys:
        with contextlib.suppress(FileNotFoundError):
            _patiently(functools.partial(obstore.delete, store, key), patience, url)
    yield from ()


def _told(meta: Any) -> dict[str, Any]:
    return {"bytes": meta["size"], "ns": int(meta["last_modified"].timestamp()) * 10**9, "mark": meta["e_tag"] or ""}


def _patiently(do: Callable[[], Any], patience: Patience, url: str) -> Any:
    """Do something, and again where the server or the line failed.

    Raises:
        AwayError: it failed each time, or will always.
        OSError: of a file of this machine.
    """
    from obstore import exceptions as refused

    for number in range(patience.tries):
        try:
            return do()
        except FileNotFoundError as error:
            raise AwayError(f"{url} is not there; was it deleted?", gone=True) from error
        except (PermissionError, refused.PermissionDeniedError, refused.UnauthenticatedError) as error:
            if getattr(error, "errno", None):
                raise  # of a file
            raise AwayError(f"{url}: {NO_PERMISSION}") from error
        except (refused.BaseError, ConnectionError, TimeoutError) as error:
            if why := _is_final(error):
                raise AwayError(f"{url}: {why}") from error
            if number + 1 == patience.tries:
                why = " ".join(str(error).split())[:300]
                raise AwayError(f"{url}: given up after {patience.tries} tries ({why}); try again") from error
            time.sleep(patience.pause_s * 2**number)
    raise RuntimeError("no tries")


def _is_final(error: Exception) -> str:
    """Why another try makes no sense, in words; "" where it may."""
    found = STATUS.search(str(error))
    if not found or found[1] in AGAIN:
        return ""
    if found[1] in ("401", "403"):
        return NO_PERMISSION
    return f"the server refuses ({found[1]}); is the bucket spelled right?"


@functools.cache
def _store_of(bucket: str, stall_s: float) -> Any:
    """The store of a bucket, by the credentials in the environment."""
    from obstore.store import from_url

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    client: Any = {
        "allow_http": endpoint.startswith("http://"), "connect_timeout": timedelta(seconds=stall_s),
        "read_timeout": timedelta(seconds=stall_s), "timeout": timedelta(days=1),
    }  # fmt: skip
    return from_url(bucket, client_options=client, retry_config={"max_retries": 0})


def serve() -> None:
    """Answer the requests on stdin until it is closed, then end at once."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # whoever asks decides when to stop
        signal.signal(number, signal.SIG_IGN)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_stdin, args=(lines,), daemon=True).start()
    while True:
        for answer in _answered(json.loads(lines.get())):
            sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.write(json.dumps(END) + "\n")
        sys.stdout.flush()


def _read_stdin(lines: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _answered(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Do a request, and yield its answers, of which the last may be that it failed."""
    from obstore.exceptions import BaseError

    does: dict[str, Callable[..., Iterator[dict[str, Any]]]]
    does = {"list": _do_list, "get": _do_get, "put": _do_put, "delete": _do_delete}
    do = does[request.pop("do")]
    bucket, patience = request.pop("bucket"), Patience(*request.pop("patience"))
    try:
        yield from do(_store_of(bucket, patience.stall_s), patience, **request)
    except AwayError as error:
        yield {"failed": str(error), "gone": error.gone, "errno": 0, "path": ""}
    except OSError as error:
        yield {"failed": error.strerror, "gone": False, "errno": error.errno, "path": error.filename}
    except (BaseError, ValueError, TypeError) as error:  # of a wrong setting
        yield {"failed": f"{bucket}: {error}; are its settings right?", "gone": False, "errno": 0, "path": ""}


if __name__ == "__main__":
    serve()
