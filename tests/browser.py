"""A real Chromium without a window, driven through a pair of pipes: no port is opened and no package is needed."""

import base64
import contextlib
import io
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu-sandbox", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--disable-dev-shm-usage", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
    "--hide-scrollbars", "--force-device-scale-factor=1", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 60.0  # seconds until an answer
LOCAL = ("data:", "blob:", "file:", "about:", "http://127.0.0.1:")


def find_chromium() -> str | None:
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page.

    Attributes:
        errors: what its console and its pages complained of.
        requests: addresses that its pages asked for.
    """

    def __init__(self, path: str, home: Path) -> None:
        """Start it, with its profile in a folder of its own."""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = 0
        self._number = 0
        self._rest = b""
        from_us, self._to = os.pipe()
        self._from, to_us = os.pipe()
        # The browser reads commands from its descriptor 3 and answers on 4.
        shell = f'exec "$0" "$@" 3<&{from_us} 4>&{to_us}'
        self._log = open(home / "log", "w+b")  # noqa: SIM115 (closed with the browser)
        self._process = subprocess.Popen(
            ["bash", "-c", shell, path, *FLAGS, f"--user-data-dir={home}", "about:blank"],
            pass_fds=(from_us, to_us), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env={**os.environ, "HOME": str(home)},
        )  # fmt: skip
        os.close(from_us)
        os.close(to_us)
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = None
        self._session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    _session: str | None = None

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        return self._until(lambda told: told.get("id") == self._number)

    def _until(self, wanted: Any) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while True:
            told = self._next(end)
            self._note(told)
            if wanted(told):
                if "error" in told:
                    raise RuntimeError(told["error"])
                return dict(told.get("result", {}))

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            read = os.read(self._from, 1 << 20) if ready else b""
            if not read:
                self._log.seek(0)
                raise TimeoutError(f"the browser says nothing more: {self._log.read()[-500:]!r}")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def _note(self, told: dict[str, Any]) -> None:
        method, params = told.get("method"), told.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded += 1
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(json.dumps(params["args"])[:600])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"][:600])

    def open(self, address: str, *, ready: str = "ready") -> None:
        """Open an address and wait until the viewer in it has drawn; the lists of errors and requests begin anew."""
        self.errors.clear()
        self.requests.clear()
        before = self._loaded
        self.ask("Page.navigate", url=address)
        self._until(lambda _: self._loaded > before)
        if ready:
            self.wait(f"document.body.dataset.state === {ready!r} || document.body.dataset.state === 'trouble'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        told = self.ask(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
            allowUnsafeEvalBlockedByCSP=False,
        )
        if "exceptionDetails" in told:
            raise RuntimeError(json.dumps(told["exceptionDetails"])[:800])
        return told["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression in the page is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"never true in the page: {condition}; errors: {self.errors}")
            time.sleep(0.05)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the window a size, and a light or dark system around it."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code = f"Key{key.upper()}" if key.isalpha() and len(key) == 1 else key
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=code)

    def wheel(self, x: float, y: float, by: float) -> None:
        """Turn the wheel over a place of the window."""
        self.ask("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    def point(self, x: float, y: float) -> None:
        """Move the mouse to a place of the window."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path | None = None, *, whole: bool = False) -> np.ndarray[Any, Any]:
        """What the window shows, (rows, columns, 3); of the whole page if wanted."""
        told = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        png = base64.b64decode(told["data"])
        if path is not None:
            path.write_bytes(png)
        with Image.open(io.BytesIO(png)) as opened:
            return np.asarray(opened.convert("RGB"))

    def strangers(self) -> list[str]:
        """The requests that would have left this machine."""
        return [each for each in self.requests if not each.startswith(LOCAL)]

    def close(self) -> None:
        """End the browser and all that it started."""
        with contextlib.suppress(Exception):
            self._session = None
            self.ask("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._log.close()


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser for as long as it is needed."""
    path = find_chromium()
    assert path is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        made = Browser(path, Path(home))
        try:
            yield made
        finally:
            made.close()
