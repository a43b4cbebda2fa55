"""Why a download failed, in words, with what to do; and whether another try may help."""

import http.client
import socket
import ssl
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from modelsgenesis.core.errors import WeightsError

PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that may be others in a while
BY_HAND = "open the address in a browser, download the file there, and give its path in place of its name"
PAGES = ("text/html", "application/xhtml+xml", "application/json")
POINTER = b"version https://git-lfs"
MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml")


class BrokenOffError(Exception):
    """A download ended early; another try may bring the rest.

    Args:
        message: what happened.
        wait_s: that the server requests before the next try.
    """

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def of_response(url: str, error: HTTPError) -> BrokenOffError | WeightsError:
    """The error for a response that is not a file."""
    status = f"{error.code} {error.reason}"
    if error.code in PASSING:
        wait = error.headers.get("Retry-After", "")
        return BrokenOffError(f"the server answers {status}", float(wait) if wait.isdecimal() else 0.0)
    if error.code in (401, 403):
        return WeightsError(f"{url}: the server wants to know who asks ({status}); {BY_HAND}")
    if error.code in (404, 410):
        return WeightsError(f"{url}: the file is no longer there ({status}); look for it on its publisher's page")
    if error.code == 407:
        return WeightsError(
            f"{url}: the proxy {_proxy(url)} wants a name and password ({status}); put them in its address"
        )
    return WeightsError(f"{url}: the server refuses ({status}); {BY_HAND}")


def of_line(url: str, error: Exception, *, begun: bool) -> BrokenOffError | WeightsError:
    """The error for a failed connection.

    Args:
        url: that was requested.
        error: of the connection.
        begun: bytes have come already, so what is wrong now may pass.
    """
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, TimeoutError):
        return BrokenOffError("no byte came for too long")
    lasting = _lasting(url, cause)
    if lasting and not begun:
        return WeightsError(f"{url}: {lasting}")
    if isinstance(cause, http.client.IncompleteRead):
        return BrokenOffError("the line broke in the middle")
    return BrokenOffError(f"the line broke ({cause})")


def _lasting(url: str, cause: Exception) -> str:
    """Explain an error that another try would not mend; "" where it may."""
    host, proxy = urlsplit(url).hostname, _proxy(url)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"{host} could not prove who it is ({cause.verify_message}); where a proxy of your institution opens "
            "encrypted lines, point SSL_CERT_FILE to its certificate"
        )
    if "Tunnel connection failed" in str(cause):
        return f"the proxy {proxy} does not let us through ({cause}); check https_proxy, or ask who runs it"
    if isinstance(cause, socket.gaierror):
        return (
            f"the name {proxy or host} is not known here: is this machine offline, or does it need a proxy? {_away()}"
        )
    if isinstance(cause, ConnectionRefusedError) and proxy:
        return f"the proxy {proxy} does not answer; check http_proxy and https_proxy"
    if isinstance(cause, OSError) and not isinstance(cause, (ConnectionResetError, ssl.SSLError)):
        return f"{host} cannot be reached ({cause.strerror or cause}): is this machine offline? {_away()}"
    return ""


def _away() -> str:
    return "On a machine with a line the same command works; copy the file and the .json beside it"


def _proxy(url: str) -> str:
    """The proxy in use for an address, without its password; empty if there is none."""
    address = urlsplit(url)
    proxy = urlsplit(getproxies().get(address.scheme, ""))
    if not proxy.hostname or proxy_bypass(address.hostname or ""):
        return ""
    return f"{proxy.hostname}:{proxy.port}" if proxy.port else proxy.hostname


def of_page(url: str, content_type: str, beginning: bytes) -> None:
    """Refuse a web page in place of weights.

    Args:
        url: it comes from.
        content_type: that the server states, if any.
        beginning: of what it sent.
    Raises:
        WeightsError: it is a page, or the pointer that Git keeps in place of a large file.
    """
    if beginning.startswith(POINTER):
        raise WeightsError(f"{url}: the address gives Git's pointer to the file, not the file; use its download link")
    kind = content_type.partition(";")[0].strip().lower()
    if kind in PAGES or beginning.lstrip().lower().startswith(MARKUP):
        raise WeightsError(
            f"{url}: a page came in place of the file, of a login or a proxy it may be; {BY_HAND}. Nothing was kept"
        )
