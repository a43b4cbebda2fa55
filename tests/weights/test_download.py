"""Files arrive whole and checked over bad lines; what cannot be had is explained in words."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.weights.servers import (
    CONTENT,
    SHA256,
    Handler,
    Manner,
    Server,
    breaks_off,
    claims,
    ignores_range,
    in_chunks,
    response,
    sends_other_range,
    serving,
    stalls,
    without_length,
    without_mark,
)

from modelsgenesis.core.errors import DataError, WeightsError
from modelsgenesis.weights.download import Patience, download

HASTE = Patience(tries=3, stall_s=5.0, pause_s=0.0)
SIZE = len(CONTENT)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxies are no part of these tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine."""
    with serving() as served:
        yield served


def left_in(folder: Path) -> set[str]:
    """The names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


def test_file_arrives_whole_with_its_hash_and_nothing_else(server: Server, tmp_path: Path) -> None:
    """In a folder that was not there; progress ends at the whole."""
    seen: list[tuple[int, int | None]] = []
    into = tmp_path / "new" / "weights.pt"
    found = download(server.url, into, size=SIZE, checksum=SHA256, progress=lambda *done: seen.append(done))
    assert found == SHA256
    assert into.read_bytes() == CONTENT
    assert left_in(into.parent) == {"weights.pt"}
    assert seen[0] == (0, SIZE)
    assert seen[-1] == (SIZE, SIZE)


@pytest.mark.parametrize("manner", [breaks_off(100_000), in_chunks(cut=70), stalls(100_000, 1.0)])
def test_broken_line_is_gone_on_from_where_it_broke(server: Server, tmp_path: Path, manner: Manner) -> None:
    """The rest alone is asked for, and only of the same version."""
    server.manners.append(manner)
    patience = Patience(tries=3, stall_s=0.3, pause_s=0.0)
    assert download(server.url, tmp_path / "weights.pt", checksum=SHA256, patience=patience) == SHA256
    first, then = server.asked
    assert "Range" not in first[1]
    assert then[1]["Range"] in ("bytes=100000-", "bytes=70-")
    assert then[1]["If-Range"] == '"one"'


def test_line_that_always_breaks_gets_there_as_long_as_it_brings_something(server: Server, tmp_path: Path) -> None:
    """Patience counts tries that bring nothing, not tries."""
    server.manners.extend([breaks_off(70_000)] * 4)
    download(server.url, tmp_path / "weights.pt", checksum=SHA256, patience=Patience(tries=2, pause_s=0.0))
    assert len(server.asked) == 5


def test_next_call_goes_on_from_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    """The error says how much is kept; the second command asks for the rest."""
    server.manners.extend([breaks_off(100_000), breaks_off(0), breaks_off(0)])
    with pytest.raises(WeightsError, match="broke after 100000 of 307201 bytes; 100000 bytes are kept") as refused:
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    assert "the same command goes on" in str(refused.value)
    assert left_in(tmp_path) == {"weights.pt.part", "weights.pt.part.json"}
    assert download(server.url, tmp_path / "weights.pt", checksum=SHA256, patience=HASTE) == SHA256
    assert server.ranges == [None, *["bytes=100000-"] * 3]


def test_changed_file_is_started_anew(server: Server, tmp_path: Path) -> None:
    """A beginning of one version and an end of another never make a file."""
    server.manners.extend([breaks_off(100_000)] + [breaks_off(0)] * 2)
    with pytest.raises(WeightsError, match="broke"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    server.content, server.etag = CONTENT[::-1], '"two"'
    download(server.url, tmp_path / "weights.pt", patience=HASTE)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT[::-1]


def test_another_address_does_not_go_on_from_this_one(server: Server, tmp_path: Path) -> None:
    """What is there is of the address it came from."""
    server.manners.extend([breaks_off(100_000)] + [breaks_off(0)] * 2)
    with pytest.raises(WeightsError, match="broke"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    download(server.url + "?other", tmp_path / "weights.pt", checksum=SHA256, patience=HASTE)
    assert server.ranges[-1] is None


def test_server_without_marks_of_versions_is_asked_for_the_whole(server: Server, tmp_path: Path) -> None:
    """Without an ETag or a date one cannot know that the rest belongs to the beginning."""
    server.manners.append(without_mark(breaks_off(100_000)))
    download(server.url, tmp_path / "weights.pt", checksum=SHA256, patience=HASTE)
    assert server.ranges == [None, None]


def test_server_that_ignores_ranges_is_no_harm(server: Server, tmp_path: Path) -> None:
    """The whole in place of the rest starts the file anew."""
    server.manners.extend([breaks_off(100_000), ignores_range])
    assert download(server.url, tmp_path / "weights.pt", patience=HASTE) == SHA256


def test_server_that_sends_another_range_is_not_believed(server: Server, tmp_path: Path) -> None:
    """Its bytes are thrown away and the file starts anew."""
    server.manners.extend([breaks_off(100_000), sends_other_range])
    assert download(server.url, tmp_path / "weights.pt", patience=HASTE) == SHA256
    assert server.ranges == [None, "bytes=100000-", None]


def test_file_that_was_whole_when_the_process_died_is_taken(server: Server, tmp_path: Path) -> None:
    """The server has nothing more to send, and says how long the file is."""
    server.manners.extend([breaks_off(100_000)] + [breaks_off(0)] * 2)
    with pytest.raises(WeightsError, match="broke"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    (tmp_path / "weights.pt.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "weights.pt", checksum=SHA256, patience=HASTE) == SHA256


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT[:-5] + b"other"])
def test_damaged_beginning_is_found_by_the_checksum_and_started_anew(
    server: Server, tmp_path: Path, content: bytes
) -> None:
    """Whatever happened to it on disk, it costs a download, not the file."""
    server.manners.extend([breaks_off(100_000)] + [breaks_off(0)] * 2)
    with pytest.raises(WeightsError, match="broke"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    (tmp_path / "weights.pt.part").write_bytes(content)
    assert download(server.url, tmp_path / "weights.pt", checksum=SHA256, patience=HASTE) == SHA256
    assert server.ranges[-1] is None


def test_wrong_file_is_refused_and_deleted(server: Server, tmp_path: Path) -> None:
    """Of the right length but another content: never kept, asked for once."""
    server.content = b"\x80" + b"x" * (SIZE - 1)
    with pytest.raises(WeightsError, match=f"but must be {SHA256}. What came was deleted"):
        download(server.url, tmp_path / "weights.pt", size=SIZE, checksum=SHA256, patience=HASTE)
    assert left_in(tmp_path) == set()
    assert len(server.asked) == 1


def test_wrong_length_is_refused_before_a_byte_is_read(server: Server, tmp_path: Path) -> None:
    """The registry knows the length; the server states another."""
    with pytest.raises(WeightsError, match=f"{SIZE} bytes are offered, but the file must have 999"):
        download(server.url, tmp_path / "weights.pt", size=999, patience=HASTE)
    assert left_in(tmp_path) == set()


def test_length_stated_too_long_is_a_broken_line(server: Server, tmp_path: Path) -> None:
    """The missing bytes never come; the error says how many there are."""
    server.manners.extend([claims(SIZE + 10)] * 3)
    server.etag = '"changes"'
    with pytest.raises(WeightsError, match=f"the line broke after {SIZE} of {SIZE + 10} bytes"):
        download(server.url, tmp_path / "weights.pt", patience=Patience(tries=1))


def test_length_stated_too_short_is_found_by_the_checksum(server: Server, tmp_path: Path) -> None:
    """What lies beyond the stated length is not read, so the file is not the right one."""
    server.manners.append(claims(SIZE - 10))
    with pytest.raises(WeightsError, match="its SHA-256 is"):
        download(server.url, tmp_path / "weights.pt", checksum=SHA256, patience=HASTE)


@pytest.mark.parametrize("manner", [without_length(), in_chunks()])
def test_file_without_a_stated_length_arrives(server: Server, tmp_path: Path, manner: Manner) -> None:
    """Ended by the line's end, or in chunks."""
    server.manners.append(manner)
    assert download(server.url, tmp_path / "weights.pt", size=SIZE, patience=HASTE) == SHA256


def test_more_than_promised_is_not_kept(server: Server, tmp_path: Path) -> None:
    """A stream without end would fill the disk."""
    server.manners.append(without_length(extra=b"more"))
    with pytest.raises(WeightsError, match=f"more than the {SIZE} bytes"):
        download(server.url, tmp_path / "weights.pt", size=SIZE, patience=HASTE)
    assert left_in(tmp_path) == set()


def test_less_than_known_is_a_broken_line(server: Server, tmp_path: Path) -> None:
    """Where the server states no length, the registry's counts."""
    server.manners.append(without_length(cut=1000))
    assert download(server.url, tmp_path / "weights.pt", size=SIZE, patience=HASTE) == SHA256
    assert server.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize(
    "manner",
    [
        response(200, b"<html><body>Sign in</body></html>", "text/html; charset=utf-8"),
        response(200, b"\n<!DOCTYPE html><p>Sign in", "application/octet-stream"),
        response(200, b'{"error": "gone"}', "application/json"),
    ],
)
def test_page_in_place_of_weights_is_refused(server: Server, tmp_path: Path, manner: Manner) -> None:
    """Of a login or a proxy: known by its type or its first letters, kept never, asked for once."""
    server.manners.append(manner)
    with pytest.raises(WeightsError, match="a page came in place of the file"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    assert not (tmp_path / "weights.pt").exists()
    assert len(server.asked) == 1


def test_pointer_of_git_is_refused(server: Server, tmp_path: Path) -> None:
    """Some addresses give 130 bytes in place of the file; nothing of them stays."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:62de\nsize 152639120\n"
    server.manners.append(response(200, pointer))
    with pytest.raises(WeightsError, match="Git's pointer"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    assert left_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "wants to know who asks"),
        (403, "wants to know who asks"),
        (404, "no longer there"),
        (410, "no longer there"),
        (407, "wants a name and password"),
        (451, "the server refuses"),
        (204, "not with a file"),
    ],
)
def test_refusals_are_said_in_words_and_not_repeated(server: Server, tmp_path: Path, status: int, words: str) -> None:
    """Another try would bring the same answer."""
    server.manners.append(response(status))
    with pytest.raises(WeightsError, match=words):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    assert len(server.asked) == 1


def test_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    """After the pause that it asks for."""
    server.manners.extend([response(503), response(429, Retry_After="0")])
    assert download(server.url, tmp_path / "weights.pt", patience=HASTE) == SHA256
    server.manners.extend([response(503)] * 3)
    with pytest.raises(WeightsError, match="the server answers 503"):
        download(server.url, tmp_path / "again.pt", patience=HASTE)


def test_empty_file_is_none(server: Server, tmp_path: Path) -> None:
    """Nothing, stated as such, may be a server that starts; it is asked again, and never taken for weights."""
    server.manners.extend([response(200)] * 3)
    with pytest.raises(WeightsError, match="the server sent nothing; the same command starts anew"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)
    assert not (tmp_path / "weights.pt").exists()


def test_patience_waits_longer_from_try_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """It doubles up to a minute, and a server that asks for an hour gets that minute too."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    for tries, requested_s in [(1, 0.0), (2, 0.0), (3, 0.0), (9, 0.0), (1, 7.0), (1, 3600.0)]:
        Patience(pause_s=1.0).wait(tries, requested_s)
    assert waited == [1.0, 2.0, 4.0, 60.0, 7.0, 60.0]


def test_no_server_is_reported_at_once(tmp_path: Path) -> None:
    """Nobody answers at the port: no use trying again before anything has come."""
    with serving() as gone:
        url = gone.url
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1 cannot be reached .*offline"):
        download(url, tmp_path / "weights.pt", patience=Patience(pause_s=60))


def test_unknown_name_is_reported_at_once(tmp_path: Path) -> None:
    """Offline, or a name that is none."""
    with pytest.raises(WeightsError, match=r"the name no-such-host\.invalid is not known here"):
        download("http://no-such-host.invalid/weights.pt", tmp_path / "weights.pt", patience=Patience(pause_s=60))


def test_address_that_is_none_of_the_web_is_refused(tmp_path: Path) -> None:
    """No file of this machine is read through it."""
    with pytest.raises(WeightsError, match="not an address of the web"):
        download("file:///etc/hostname", tmp_path / "weights.pt")


def test_proxy_is_used_and_its_absence_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the proxy, an address that no name server knows; without it, the proxy is named, not its password."""
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{server.server_port}")
    assert download("http://weights.invalid/weights.pt", tmp_path / "weights.pt", patience=HASTE) == SHA256
    assert server.asked[0][0] == "http://weights.invalid/weights.pt"
    with serving() as gone:
        port = gone.server_port
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{port}")
    with pytest.raises(WeightsError, match=rf"the proxy 127\.0\.0\.1:{port} does not answer") as refused:
        download("http://weights.invalid/weights.pt", tmp_path / "again.pt", patience=HASTE)
    assert "secret" not in str(refused.value)


def test_proxy_that_opens_no_tunnel_is_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encrypted lines need CONNECT, which this one does not know."""
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(WeightsError, match="does not let us through"):
        download("https://weights.invalid/weights.pt", tmp_path / "weights.pt", patience=HASTE)


def begins(handler: Handler) -> None:
    """Go on from the first byte, as if it had been asked for."""
    handler.head(206, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}")
    handler.write(CONTENT)


def test_full_disk_is_one_clear_error(server: Server, tmp_path: Path) -> None:
    """The device that is always full stands in for the disk."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    server.manners.append(breaks_off(0))
    with pytest.raises(WeightsError, match="broke"):
        download(server.url, tmp_path / "weights.pt", patience=Patience(tries=1))
    (tmp_path / "weights.pt.part").unlink()
    (tmp_path / "weights.pt.part").symlink_to("/dev/full")
    server.manners.append(begins)
    with pytest.raises(DataError, match="the disk is full"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)


def test_file_larger_than_the_free_disk_is_not_begun(server: Server, tmp_path: Path) -> None:
    """An exabyte is offered."""
    server.manners.append(claims(10**18))
    with pytest.raises(WeightsError, match="make room"):
        download(server.url, tmp_path / "weights.pt", patience=HASTE)


def test_folder_that_cannot_be_made_is_one_clear_error(server: Server, tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "blocked").write_text("")
    with pytest.raises(DataError, match="could not be written"):
        download(server.url, tmp_path / "blocked" / "weights.pt", patience=HASTE)


@pytest.fixture
def encrypted(server: Server, tmp_path: Path) -> Path:
    """The server with a certificate of its own making; the certificate's path."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl, which is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return certificate


def test_unknown_certificate_is_refused(server: Server, encrypted: Path, tmp_path: Path) -> None:
    """As behind a proxy that opens encrypted lines; the way out is named."""
    url = server.url.replace("http:", "https:")
    with pytest.raises(WeightsError, match=r"could not prove who it is .* SSL_CERT_FILE"):
        download(url, tmp_path / "weights.pt", patience=HASTE)


def test_encrypted_line_does_not_lead_to_an_open_one(
    server: Server, encrypted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the certificate known the file arrives; a redirection to http is not followed."""
    monkeypatch.setenv("SSL_CERT_FILE", str(encrypted))
    url = server.url.replace("http:", "https:")
    assert download(url, tmp_path / "weights.pt", patience=HASTE) == SHA256
    with serving() as other:
        server.manners.append(response(302, Location=other.url))
        with pytest.raises(WeightsError, match="which is not encrypted; not followed"):
            download(url, tmp_path / "again.pt", patience=HASTE)
        assert other.asked == []


def test_redirection_is_followed_with_its_range(server: Server, tmp_path: Path) -> None:
    """Hubs send on to where the bytes lie."""
    with serving() as other:
        server.manners.extend([response(302, Location=other.url)] * 2)
        other.manners.append(breaks_off(100_000))
        assert download(server.url, tmp_path / "weights.pt", patience=HASTE) == SHA256
        assert other.ranges == [None, "bytes=100000-"]
