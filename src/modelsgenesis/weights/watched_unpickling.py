"""What a pickle would do, found out without doing it: the names it asks for and the storages it claims."""

import io
import pickle
import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from modelsgenesis.core.errors import WeightsError

MOST_BYTES = 8_000_000  # of a pickle; a checkpoint's own is under one million
MOST_NAMES = 1000  # that a pickle asks for; a checkpoint's own are under ten
PROTOCOL = 2  # of all that torch.save writes
PLAIN = (str, bytes, int, float, bool, type(None))


class _Inert:
    """Stands for whatever a pickle makes; it accepts every call and does nothing."""

    full = ""  # the name that was asked for

    def __new__(cls, *_: Any, **__: Any) -> "_Inert":
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever the arguments."""

    def __setstate__(self, _: Any) -> None:
        """Whatever the state."""

    def __setitem__(self, _: Any, __: Any) -> None:
        """Whatever the item."""

    def append(self, _: Any) -> None:
        """Accept any item."""

    def extend(self, _: Any) -> None:
        """Accept any items."""


class Watcher(pickle._Unpickler):
    """Runs a pickle in which every name stands for a class that does nothing.

    Written on Python's own unpickler: the compiled one allocates memory for as many memos as a hostile pickle claims.

    Attributes:
        made: the names that the pickle asks for, and what stood for each.
        storages: (name of the storage's class, key, number of elements), as claimed.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.made: dict[str, type[_Inert]] = {}
        self.storages: list[tuple[str, str, int]] = []

    @property
    def needs(self) -> set[str]:
        """The names that reading it needs, and a protocol other than the one that weights_only=True reads."""
        protocol: int = getattr(self, "proto", 0)
        return self.made.keys() | (set() if protocol == PROTOCOL else {f"a pickle of protocol {protocol}"})

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return a class that does nothing, never the named one."""
        full = _name_of_today(module_name, global_name)
        if full not in self.made:
            if len(self.made) == MOST_NAMES:
                raise WeightsError(f"its pickle asks for more than {MOST_NAMES} names; a checkpoint's for ten")
            self.made[full] = type("Inert", (_Inert,), {"full": full})
        return self.made[full]

    def persistent_load(self, pid: Any) -> Any:
        """A storage: ("storage", its class, its key, its place, its number of elements)."""
        match pid:
            case ("storage", type(), str(key), _, int(count), *_) if count >= 0 and issubclass(pid[1], _Inert):
                self.storages.append((pid[1].full, key, count))
            case _:
                raise WeightsError("its pickle asks for what is not a storage")
        return _Inert()

    def _set_item(self) -> None:
        self._check_keys([self.stack[-2]])  # type: ignore[attr-defined]
        _original(pickle.SETITEM)(self)

    def _set_items(self) -> None:
        self._check_keys(self.stack[::2])  # type: ignore[attr-defined]
        _original(pickle.SETITEMS)(self)

    def _check_keys(self, keys: list[Any]) -> None:
        """Deeply nested tuples as keys would overflow the interpreter's stack."""
        for key in keys:
            if not (
                isinstance(key, PLAIN) or (isinstance(key, tuple) and all(isinstance(part, PLAIN) for part in key))
            ):
                raise WeightsError(f"its pickle has a mapping with a {type(key).__name__} for a key")


def _name_of_today(module: str, name: str) -> str:
    """Python 2's name for a thing, which protocol 2 writes, as torch too reads it."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def _original(opcode: bytes) -> Callable[[Any], None]:
    return cast(Callable[[Any], None], pickle._Unpickler.dispatch[opcode[0]])


# Of later protocols too, to tell the names that a refused pickle asks for; not what allocates as much as it claims.
_LEFT_OUT = {
    "BYTEARRAY8", "BINBYTES8", "BINUNICODE8", "NEXT_BUFFER", "READONLY_BUFFER", "DICT", "FROZENSET", "ADDITEMS"
}  # fmt: skip
_OWN: dict[int, Any] = {pickle.SETITEM[0]: Watcher._set_item, pickle.SETITEMS[0]: Watcher._set_items}
Watcher.dispatch = {
    code: _OWN.get(code, do)
    for code, do in pickle._Unpickler.dispatch.items()
    if code not in {getattr(pickle, name)[0] for name in _LEFT_OUT}
}


def watch(data: bytes) -> Watcher:
    """Watch the unpickling of one pickle.

    Raises:
        WeightsError: it is broken, absurdly long, or none that a checkpoint needs.
    """
    if len(data) > MOST_BYTES:
        raise WeightsError(f"its pickle has {len(data):.1e} bytes; a checkpoint's has a million")
    watcher = Watcher(io.BytesIO(data))
    try:
        watcher.load()
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"its pickle is broken ({type(error).__name__}: {error})") from error
    return watcher


def length(file: BinaryIO) -> int:
    """The number of bytes of the pickle at the file's place; the file is left behind it.

    Raises:
        WeightsError: no pickle ends there.
    """
    start = file.tell()
    try:
        for _opcode, _argument, _place in pickletools.genops(file):
            if file.tell() - start > MOST_BYTES:
                raise WeightsError(f"its pickle has more than {MOST_BYTES:.1e} bytes; a checkpoint's has a million")
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"its pickle is broken or cut off ({error})") from error
    return file.tell() - start
