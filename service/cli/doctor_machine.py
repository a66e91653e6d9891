"""Checks of `enlace doctor` that need no database: settings, keys, disk, ports, descriptors."""

import asyncio
import contextlib
import ctypes
import resource
import shutil
import socket
import stat
from pathlib import Path

from service.cli.doctor_site import Finding, Level, Site
from service.key_files import SANDBOX_MARK
from service.settings import SettingsError, variable

MB = 1_000_000
TIME_ERROR = 5
FILES_WARN, FILES_FAIL = 4096, 512
"""Descriptors: the API takes up to 2,000 connections a process, beside those to the database."""
_SILENT = b"silent"
_ANSWER_S = 1.8
_KEYS = ("secret_key_file", "audit_key_file")
_FIRST_START = "the sandbox makes the file at its first start."
_WITHOUT = {
    "secret_key_file": "there is no file; the sandbox makes one when it starts, and page links of before end.",
    "audit_key_file": "there is no file, and a sandbox needs none.",
}
_MAKE_KEY = "openssl rand -hex 32 > FILE; chmod 600 FILE"


async def settings(site: Site) -> list[Finding]:
    """Unknown names, bad values, and what production refuses (the keys have a check of their own)."""
    problems = list(site.problems)
    try:
        site.settings.check()
    except SettingsError as error:
        problems += [problem for problem in error.problems if "_KEY_FILE" not in problem.split(" ")[0]]
    remedy = "correct the environment: `enlace settings` lists every setting"
    if problems:
        return [Finding("fail", "settings", problem, remedy) for problem in problems]
    return [Finding("ok", "settings", f"All settings are known and allowed in {site.settings.env}.")]


async def keys(site: Site) -> list[Finding]:
    found = [_key(site, name) for name in _KEYS]
    with contextlib.suppress(OSError):
        one, other = (Path(getattr(site.settings, name)).read_bytes().strip() for name in _KEYS)
        if one == other:
            sentence = "The secret key and the audit key are the same: who has one has both."
            found.append(Finding(site.grave, "keys", sentence, _MAKE_KEY))
    return found


def _key(site: Site, field: str) -> Finding:
    name, path = variable(field), Path(getattr(site.settings, field))
    if not path.exists():
        if site.settings.sandbox:
            return Finding("ok", "keys", f"{name}: {_WITHOUT[field] if site.place else _FIRST_START}")
        return Finding("fail", "keys", f"{name}: there is no file {path}.", _MAKE_KEY)
    try:
        key, mode = path.read_bytes().strip(), stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return Finding("fail", "keys", f"{name}: {path} cannot be read ({error.strerror}).", "correct owner and mode")
    if len(key) < 32:
        return Finding("fail", "keys", f"{name}: {path} has fewer than 32 bytes.", _MAKE_KEY)
    if mode & 0o077:
        level: Level = site.grave if mode & 0o007 else "warn"
        return Finding(level, "keys", f"{name}: others may read {path} (mode {mode:o}).", f"chmod 600 {path}")
    if key.startswith(SANDBOX_MARK) and not site.settings.sandbox:
        return Finding("fail", "keys", f"{name}: a sandbox made this key.", _MAKE_KEY)
    return Finding("ok", "keys", f"{name}: there, long enough, for its owner only.")


async def disk(site: Site) -> list[Finding]:
    """Free space where the files are: the database of SQLite, the keys, and what `enlace backup` writes by default."""
    url = site.settings.database_url.get_secret_value()
    lite = url.startswith("sqlite:///")
    folder = Path(url.removeprefix("sqlite:///")).parent if lite else site.settings.secret_key_file.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    usage = await asyncio.to_thread(shutil.disk_usage, folder)
    return [free_space(str(folder), usage.free, usage.total, site.settings.disk_reserve_mb * MB if lite else 0)]


def free_space(folder: str, free: int, total: int, reserve: int) -> Finding:
    """reserve: below it the service refuses writes."""
    sentence = f"{free // MB} MB of {total // MB} MB are free at {folder}."
    remedy = "make space or enlarge the volume"
    if free < max(reserve, 16 * MB):
        return Finding("fail", "disk", f"{sentence} Writes are refused below {reserve // MB} MB.", remedy)
    if free < max(8 * reserve, 512 * MB) or free < total * 0.03:
        return Finding("warn", "disk", sentence, remedy)
    return Finding("ok", "disk", sentence)


async def files(site: Site) -> list[Finding]:
    return [descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[0])]


def descriptors(limit: int) -> Finding:
    remedy = "LimitNOFILE=65536 in the systemd unit, or ulimit -n 65536"
    if limit != resource.RLIM_INFINITY and limit < FILES_WARN:
        level: Level = "fail" if limit < FILES_FAIL else "warn"
        return Finding(level, "files", f"A process may open {limit} files; under load it needs {FILES_WARN}.", remedy)
    return Finding("ok", "files", f"A process may open {'any number of' if limit < 0 else limit} files.")


async def outbound(site: Site) -> list[Finding]:
    idle = [
        Finding("warn", "outbound", f"{name} is set, and its part is not built yet.", f"leave {name} unset")
        for name in site.settings.idle
    ]
    if site.settings.egress_allow and site.settings.sandbox:
        allowed = len(site.settings.egress_allow)
        idle.append(Finding("ok", "outbound", f"Sandbox: {allowed} exceptions from the rules for requests outwards."))
        return idle
    return idle or [Finding("ok", "outbound", "Outbound requests go to public https addresses only.")]


def ntp_synchronised() -> bool | None:
    """What the kernel says of its clock; None where it cannot be asked."""
    with contextlib.suppress(OSError, AttributeError):
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # all zero: it reads only
        return None if state < 0 else bool(state != TIME_ERROR)
    return None


async def ntp(site: Site) -> list[Finding]:
    known = ntp_synchronised()
    if known is False:
        sentence = "The kernel's clock is not synchronised: it may run away, or be set back in one step."
        return [Finding("warn", "ntp", sentence, "run chrony or systemd-timesyncd on the host")]
    return [Finding("ok", "ntp", "The kernel's clock is synchronised." if known else "The kernel does not say.")]


# --- ports ---------------------------------------------------------------------------------------------------------


async def ports(site: Site) -> list[Finding]:
    """Free, or answered by Enlace; another program's is a fail, since a start would be refused."""
    s = site.settings
    return list(await asyncio.gather(_http(s.http_host, s.http_port), _mllp(s.mllp_host, s.mllp_port)))


async def _http(host: str, port: int) -> Finding:
    ask = b"GET /%s HTTP/1.1\r\nHost: enlace\r\nConnection: close\r\n\r\n"
    healthy = await _answer(host, port, ask % b"healthz")
    if healthy is None:
        return _free(host, port, "ENLACE_HTTP_PORT")
    if b'{"status":"ok"}' not in healthy:
        return _taken(host, port, "ENLACE_HTTP_PORT", healthy)
    ready = await _answer(host, port, ask % b"readyz") or b""
    if b'"status":"ready"' not in ready:
        sentence = f"Enlace answers at {host}:{port}, but it takes no work."
        return Finding("warn", "ports", sentence, f"curl http://{host}:{port}/readyz says why")
    return Finding("ok", "ports", f"Enlace answers at {host}:{port} and is ready.")


async def _mllp(host: str, port: int) -> Finding:
    """Enlace's listener closes without a word where no MLLP is spoken; nothing is stored by asking so."""
    answer = await _answer(host, port, b"enlace doctor\r\n")
    if answer is None:
        return _free(host, port, "ENLACE_MLLP_PORT")
    if answer != b"":
        return _taken(host, port, "ENLACE_MLLP_PORT", answer)
    return Finding("ok", "ports", f"An ADT listener answers at {host}:{port}.")


def _taken(host: str, port: int, name: str, answer: bytes) -> Finding:
    sentence = f"Another program answers at {host}:{port}."
    if answer == _SILENT:
        sentence = f"What listens at {host}:{port} says nothing: another program, or Enlace is overloaded."
    return Finding("fail", "ports", sentence, f"stop it (ss -ltnp names it), or set {name} to a free port")


def _free(host: str, port: int, name: str) -> Finding:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
    except OSError as error:
        sentence = f"{host}:{port} cannot be used ({error.strerror})."
        return Finding("fail", "ports", sentence, f"set {name} to a port that this user may use")
    return Finding("ok", "ports", f"{host}:{port} is free: no process of the service listens there.")


async def _answer(host: str, port: int, question: bytes) -> bytes | None:
    """What comes back in time; None: nobody listens; _SILENT: the peer says nothing and stays."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(near, port)
    except (OSError, TimeoutError):
        return None
    answer = b""
    try:
        writer.write(question)
        async with asyncio.timeout(_ANSWER_S):
            while len(answer) < 65_536 and (more := await reader.read(4096)):  # head and body may come apart
                answer += more
        return answer
    except TimeoutError:
        return answer or _SILENT
    except OSError:
        return answer
    finally:
        writer.close()
