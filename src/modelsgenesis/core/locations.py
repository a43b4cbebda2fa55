"""What URLs of an object store name, without any secret; and the URL where a file of a mirror comes from."""

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import url2pathname

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import MIRROR

URL = re.compile(r"(s3|gs|file)://", re.IGNORECASE)
SETTINGS = {"endpoint": "AWS_ENDPOINT_URL", "region": "AWS_REGION"}  # what a URL may say after its ?


class Location(NamedTuple):
    """What a URL names, without any secret.

    Attributes:
        bucket: as a URL, such as s3://scans.
        key: of the object, or of the folder without its last /; "" is the whole bucket.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}".rstrip("/")

    @property
    def prefix(self) -> str:
        """How the keys of the folder's objects begin."""
        return f"{self.key}/" if self.key else ""


def is_url(place: str | Path) -> bool:
    """Whether a place is given as a URL that is read here."""
    return isinstance(place, str) and URL.match(place) is not None


def local_path(place: str | Path) -> Path | None:
    """The path of a place on this machine, also of a file:// URL; None of another URL.

    Raises:
        DataError: a file:// URL names another machine.
    """
    if not is_url(place):
        return Path(place)
    parts = urlsplit(str(place))
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{place}: a file:// URL has three slashes, as file:///scans, or names this machine")
    return Path(url2pathname(parts.path))


def name_of(path: Path | str) -> str:
    """What people call a path: the URL where a file comes from, otherwise the path itself."""
    location = location_of(path)
    return str(location) if location else str(path)


def location_of(path: Path | str) -> Location | None:
    """Where a file of a mirror comes from, by its path alone; None of any other file."""
    if MIRROR not in str(path):
        return None
    parts = Path(path).parts
    for number, part in enumerate(parts):
        if part.startswith(MIRROR):
            url = unquote(part.removeprefix(MIRROR))
            if not URL.match(url):  # somebody's own folder is called so
                continue
            scheme, _, rest = url.partition("://")
            bucket, _, key = rest.partition("/")
            return Location(f"{scheme}://{bucket}", "/".join(filter(None, (key, *parts[number + 1 :]))))
    return None


def parse(url: str) -> Location:
    """Understand a URL; credentials and settings in it go to the environment of this process and of those it starts.

    Raises:
        DataError: it has no bucket, or a setting that is not known.
    """
    parts = urlsplit(url)
    login, _, bucket = parts.netloc.rpartition("@")
    scheme = parts.scheme.lower()
    if not bucket or parts.fragment:
        raise DataError(f"{scheme}://{bucket}{parts.path} is no URL of a bucket; write it as {scheme}://BUCKET/FOLDER")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = [name for name in given if name not in SETTINGS]
    if unknown or (scheme != "s3" and (given or login)):
        raise DataError(
            f"{scheme}://{bucket}{parts.path}: after ? an s3:// URL may have endpoint and region, others nothing, and "
            "only s3:// may have KEY:SECRET@; set the library's environment variables instead"
        )
    for name, value in given.items():
        os.environ[SETTINGS[name]] = value
    if login:
        user, _, password = login.partition(":")
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = unquote(user), unquote(password)
    key = "/".join(filter(None, unquote(parts.path).split("/")))
    if ".." in key.split("/"):
        raise DataError(f"{scheme}://{bucket}{parts.path}: .. leads nowhere in a bucket; write the URL without it")
    return Location(f"{scheme}://{bucket}", key)
