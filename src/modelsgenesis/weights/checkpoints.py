"""Torch's files, read without running anything that they hold.

What `torch.load(weights_only=True)` trusts is checked before it is called: the archive, the names that the pickle asks
for, and that each storage has as many bytes as the pickle claims.
"""

import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from modelsgenesis.core.console import make_console
from modelsgenesis.core.errors import WeightsError, refusal
from modelsgenesis.core.files import check_regular, open_regular
from modelsgenesis.weights.pickled_numbers import READERS, Reader
from modelsgenesis.weights.watched_unpickling import Watcher, length, watch

ZIP, PROTOCOLS = b"PK\x03\x04", (2, 3, 4, 5)
MAGIC = 0x1950A86A20F9469CFC6C  # what torch.save wrote first before it wrote archives
MOST_ENTRIES, DEEPEST = 100_000, 100
SHOWN = 6  # names in an error
AGAIN = "it is damaged or cut off; fetch it again"
HOSTILE = "torch.save writes no such file, and it may be meant to harm"

SIZES = {  # bytes of an element
    "Double": 8, "Long": 8, "ComplexFloat": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2, "Char": 1,
    "Byte": 1, "Bool": 1,
}  # fmt: skip
STORAGES = {f"torch.{name}Storage": size for name, size in SIZES.items()} | {"torch.storage.UntypedStorage": 1}
ALLOWED = {
    *STORAGES, *READERS, "_codecs.encode", "collections.OrderedDict", "torch.Size", "torch.device",
    "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter",
    *map(str, (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool)),
}  # fmt: skip


def is_checkpoint(path: Path) -> bool:
    """Whether a file begins as torch's do, be it an archive or the older bare pickles.

    A safetensors file begins with the length of its header, which may happen to look like a pickle; then comes a brace.
    """
    with open_regular(path) as file:
        head = file.read(9)
    if head.startswith(ZIP):
        return True
    return len(head) == 9 and head[0] == 0x80 and head[1] in PROTOCOLS and head[8:] != b"{"


def read_checkpoint(path: Path, *, trust: bool = False) -> dict[str, Any]:
    """Read a PyTorch file: tensors and plain values, in mappings and lists.

    Args:
        path: what torch.save wrote, of any version.
        trust: a file that asks for more is unpickled in a process of its own, which hands back its tensors and plain
            values; what it asks for is shown first.
    Returns:
        The mapping at its top, its tensors on the CPU.
    Raises:
        WeightsError: it is broken or hostile, asks for more than tensors, or holds no mapping.
    """
    try:
        needs = _check_archive(path) if _begins(path, ZIP) else _check_bare(path)
        if not needs <= ALLOWED:
            return _converted(path, sorted(needs - ALLOWED), trust=trust)
        readers: list[Reader | tuple[Reader, str]] = [(reader, name) for name, reader in READERS.items()]
        # By its name, torch may do otherwise.
        with torch.serialization.safe_globals(readers), open_regular(path) as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(content, Mapping):
            raise WeightsError(f"holds a {type(content).__name__}, not a mapping with tensors")
        plain: dict[str, Any] = _plain(content, {}, 0)
        return plain
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except Exception as error:
        # Whatever a broken file makes zipfile or torch raise.
        why = refusal(error) or f"cannot be read as a torch file ({_first_line(error)}); {AGAIN}"
        raise WeightsError(f"{path}: {why}") from error


def _begins(path: Path, magic: bytes) -> bool:
    with open_regular(path) as file:
        return file.read(len(magic)) == magic


def _check_archive(path: Path) -> set[str]:
    """Check an archive's directory and its pickle's claims; the names that the pickle asks for."""
    num_bytes = path.stat().st_size
    with zipfile.ZipFile(check_regular(path)) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        distinct = {name.lower() for name in names}  # torch finds entries by their letters in any case
        if len(names) > MOST_ENTRIES or len(distinct) != len(names):
            raise WeightsError(f"an archive of {len(names)} entries, {len(distinct)} of them distinct; {HOSTILE}")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise WeightsError(f"an archive with compressed entries; {HOSTILE}")
        if (claimed := sum(entry.file_size for entry in entries)) > num_bytes:
            raise WeightsError(f"its entries claim {claimed:.1e} bytes of {num_bytes:.1e}; {HOSTILE}")
        tops = {name.partition("/")[0] for name in names}
        if len(tops) != 1 or any(".." in name.split("/") or "\\" in name for name in names):
            raise WeightsError(f"no archive of torch.save: {', '.join(sorted(names)[:SHOWN])}")
        top = tops.pop()
        if f"{top}/constants.pkl" in names:
            raise WeightsError(
                "a TorchScript archive, which holds a program; ask for its state dict, which torch.save writes"
            )
        if f"{top}/data.pkl" not in names:
            raise WeightsError(f"no archive of torch.save: it lacks data.pkl, the first entry is {names[0]}")
        watcher = watch(archive.read(f"{top}/data.pkl"))
        if watcher.needs <= ALLOWED:
            sizes = {entry.filename: entry.file_size for entry in entries}
            _check_storages(watcher, lambda key: sizes.get(f"{top}/data/{key}", -1))
            if damaged := archive.testzip():
                raise WeightsError(f"the entry {damaged} fails its checksum; {AGAIN}")
    return watcher.needs


def _check_bare(path: Path) -> set[str]:
    """Check the older layout: five pickles, magic number, version, machine, content and keys, then the storages."""
    with open_regular(path) as file:
        pickles = []
        for number in range(5):
            pickles.append(_next_pickle(file))
            if number == 0 and not _is_magic(pickles[0]):
                raise WeightsError("a pickle, but not one that torch.save wrote; it is not read")
        left = path.stat().st_size - file.tell()
    watchers = [watch(data) for data in pickles]
    needs = set().union(*(watcher.needs for watcher in watchers))
    if needs <= ALLOWED:
        storages: dict[str, int] = {}
        for name, key, count in watchers[3].storages:
            storages[key] = max(storages.get(key, 0), count * STORAGES.get(name, 1))
        if sum(storages.values()) + 8 * len(storages) > left:
            raise WeightsError(f"its tensors claim {sum(storages.values()):.1e} bytes of {left:.1e}; {AGAIN}")
    return needs


def _next_pickle(file: BinaryIO) -> bytes:
    start = file.tell()
    num_bytes = length(file)
    file.seek(start)
    return file.read(num_bytes)


def _is_magic(data: bytes) -> bool:
    return data == pickle.dumps(MAGIC, protocol=2)


def _check_storages(watcher: Watcher, size_of: Callable[[str], int]) -> None:
    """Each storage as long as the pickle claims; older torch reads beyond its end."""
    for name, key, count in watcher.storages:
        if (there := size_of(key)) != count * STORAGES.get(name, 1):
            raise WeightsError(
                f"tensor data {key} has {max(there, 0)} bytes, {count * STORAGES.get(name, 1)} are claimed; {AGAIN}"
            )


def _plain(value: Any, known: dict[int, Any], depth: int) -> Any:
    """The same in plain mappings and lists, whose tensors all claim no more than they have.

    A pickle may give a mapping attributes that hide its items, and repeat an element into a tensor of any shape.
    """
    if depth > DEEPEST:
        raise WeightsError(f"its mappings and lists nest deeper than {DEEPEST}; {HOSTILE}")
    if isinstance(value, Tensor):
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightsError(f"a tensor claims the absurd shape {tuple(value.shape)}; {HOSTILE}")
        return value
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) not in known:
        if isinstance(value, dict):
            known[id(value)] = {key: _plain(inner, known, depth + 1) for key, inner in dict.items(value)}
        else:
            inside = [_plain(inner, known, depth + 1) for inner in value]
            known[id(value)] = tuple(inside) if isinstance(value, tuple) else inside
    return known[id(value)]


def _converted(path: Path, names: list[str], *, trust: bool) -> dict[str, Any]:
    """Refuse a file that asks for more than tensors, or have it unpickled in another process."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    claims = f"asks for {', '.join(name[:80] for name in names[:SHOWN])}{more}"
    if not trust:
        raise WeightsError(
            f"{claims}, and making these can run any program. If its source is trusted, --trust (trust=True in Python) "
            "opens it in a process of its own and keeps the tensors"
        )
    make_console().print(f"{path} {claims}; trusted, it is opened in a process of its own")
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "plain.pt"
        program = Path(__file__).with_name("converting.py")
        command = [sys.executable, "-I", str(program), str(path.absolute()), str(into)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode or not into.is_file():
            last = (done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise WeightsError(f"the process that opened it failed ({last[:300]})")
        return read_checkpoint(into)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
