"""JSON Patch: https://www.rfc-editor.org/rfc/rfc6902 over JSON pointers, https://www.rfc-editor.org/rfc/rfc6901"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from fhir_profiles import Resource
from service.errors import Category, FhirError, Issue
from service.patching.operations import WHOLE, Operation, Refused, perform_all, read_all
from service.patching.work import Work, same

Pointer = tuple[str, ...]
_ESCAPE = re.compile(r"~[01]")
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,40}\Z")


def read(document: Any) -> tuple[Operation, ...]:
    """The operations; 400 names all that have no form of RFC 6902."""
    if not isinstance(document, list):
        text = "A JSON Patch is an array of operations, each with op and path."
        raise FhirError(Category.MALFORMED, [Issue(text, code="structure")], reason="patch")
    return read_all(document, _operation, lambda row: row.get("op") if isinstance(row, dict) else "")


def apply(resource: Resource, operations: tuple[Operation, ...], work: Work) -> Any:
    """The patched document, perhaps no resource any more. Changes `resource`; the holder makes the root a member."""
    return perform_all({WHOLE: resource}, operations, work)[WHOLE]


def _operation(row: Any) -> Operation:
    if not isinstance(row, dict):
        raise Refused("an operation is an object with op and path")
    op = row.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise Refused(f"op must be one of {', '.join(_OPERATIONS)}")
    needs, perform = _OPERATIONS[op]
    missing = [name for name in ("path", *needs) if name not in row]
    if missing:
        raise Refused(f"{' and '.join(missing)} must be given", code="required")
    path = _pointer(row["path"], "path")
    touched = {path[:1]}
    if "from" in needs:
        source = _pointer(row["from"], "from")
        touched.add(source[:1])
        if op == "move" and path[: len(source)] == source != path:
            raise Refused("a value cannot be moved into itself")
        bound = partial(perform, source, path)
    else:
        bound = partial(perform, row.get("value"), path)
    touches = frozenset(first[0] if first else WHOLE for first in touched)
    return Operation(op, touches, bound, harmless=op == "test")


def _pointer(text: Any, member: str) -> Pointer:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise Refused(f"{member} must be a JSON pointer such as /name/0/given, or an empty string for the whole")
    tokens = text.split("/")[1:]
    if any("~" in _ESCAPE.sub("", token) for token in tokens):
        raise Refused(f"{member} holds a ~ that is neither ~0 (for ~) nor ~1 (for /)")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


# --- the six operations ---------------------------------------------------------------------------------------------


def _add(value: Any, path: Pointer, root: Resource, work: Work) -> Resource:
    _put(work.copy(value, len(path) + 1), path, root)
    return root


def _remove(_value: Any, path: Pointer, root: Resource, work: Work) -> Resource:
    _take(path, root, work)
    return root


def _replace(value: Any, path: Pointer, root: Resource, work: Work) -> Resource:
    container, key = _place(path, root)
    _at(container, key, path, root)
    container[key] = work.copy(value, len(path) + 1)
    return root


def _move(source: Pointer, path: Pointer, root: Resource, work: Work) -> Resource:
    if source == path:
        _value(path, root)
        return root
    _put(work.copy(_take(source, root, work), len(path) + 1), path, root)
    return root


def _copy(source: Pointer, path: Pointer, root: Resource, work: Work) -> Resource:
    _put(work.copy(_value(source, root), len(path) + 1), path, root)
    return root


def _test(value: Any, path: Pointer, root: Resource, _work: Work) -> Resource:
    if not same(_value(path, root), value):
        raise Refused("the value is not the one that is tested for: read the resource again", _shown(path, root))
    return root


_Perform = Callable[[Any, Pointer, Resource, Work], Resource]
_OPERATIONS: dict[str, tuple[tuple[str, ...], _Perform]] = {
    "add": (("value",), _add),
    "remove": ((), _remove),
    "replace": (("value",), _replace),
    "move": (("from",), _move),
    "copy": (("from",), _copy),
    "test": (("value",), _test),
}


# --- places ---------------------------------------------------------------------------------------------------------


def _place(path: Pointer, root: Resource, *, into: bool = False) -> tuple[Any, Any]:
    """The container and the key in it that the last token means; `into`: the place behind an array's end as well."""
    container: Any = root
    key: Any = WHOLE
    for token in path:
        container = _at(container, key, path, root)
        if isinstance(container, dict):
            key = token
        elif isinstance(container, list):
            key = _index(token, container, path, root)
        else:
            raise Refused("the path goes on behind a value that has no parts", _shown(path, root))
    if isinstance(container, list) and key >= len(container) + into:
        remedy = "append with -" if into else "- and what is behind the end name no value"
        raise Refused(f"the array has {len(container)} values: {remedy}", _shown(path, root))
    return container, key


def _index(token: str, array: list[Any], path: Pointer, root: Resource) -> int:
    if token == "-":
        return len(array)
    if not _INDEX.match(token):
        raise Refused("the path names a value of an array by its index from 0, or - for the end", _shown(path, root))
    return int(token)


def _at(container: Any, key: Any, path: Pointer, root: Resource) -> Any:
    present = key in container if isinstance(container, dict) else key < len(container)
    if not present:
        raise Refused("nothing stands at this path: add it, and what holds it, first", _shown(path, root), "not-found")
    return container[key]


def _value(path: Pointer, root: Resource) -> Any:
    container, key = _place(path, root)
    return _at(container, key, path, root)


def _put(value: Any, path: Pointer, root: Resource) -> None:
    container, key = _place(path, root, into=True)
    if isinstance(container, list):
        container.insert(key, value)
    else:
        container[key] = value


def _take(path: Pointer, root: Resource, work: Work) -> Any:
    if not path:
        raise Refused("the whole resource cannot be taken away: delete it")
    container, key = _place(path, root)
    value = _at(container, key, path, root)
    work.took_from(container)
    del container[key]
    return value


def _shown(path: Pointer, root: Resource) -> str | None:
    """The path as FHIRPath where it is spelled as elements are; else nothing, since it may hold anything."""
    whole = root.get(WHOLE)
    rtype = whole.get("resourceType") if isinstance(whole, dict) else None
    if not isinstance(rtype, str) or not _NAME.match(rtype) or len(path) > 20:
        return None
    shown = rtype
    for token in path:
        if _INDEX.match(token):
            shown += f"[{token}]"
        elif _NAME.match(token):
            shown += f".{token}"
        elif token != "-":
            return None
    return shown
