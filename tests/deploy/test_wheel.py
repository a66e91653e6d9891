"""The wheel alone, as nobody, over a read-only root: the nearest thing to running the image without a container engine.

As root the service runs in a mount namespace of its own whose root is read-only; only `var` and /tmp are writable. As
another user, or where namespaces are refused, it runs in a folder that is made read-only.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.postgres_server import free_port
from tests.scenarios.harness import wait_for

ROOT = Path(__file__).parents[2]
UID = 10001
# $1 the new root, $2 what is installed, $3 the folder of the process; the rest is the command. The interpreter of the
# tests may lie in root's home: the one capability lets nobody read it, and write nothing.
CAGE = """
set -e
mount --rbind / "$1"
mount -o remount,bind,ro "$1"
mount --bind "$2" "$1/srv" && mount -o remount,bind,ro "$1/srv"
mount --bind "$3" "$1/media" && mount -o remount,bind,ro "$1/media"
mount --bind "$3/var" "$1/media/var"
[ -n "$KEEP_TMP" ] || mount -t tmpfs tmpfs "$1/tmp"
new=$1; shift 3
exec chroot "$new" setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \
    env --chdir=/media "$@"
"""


class Image(NamedTuple):
    """What is installed, and the folder that a process sees as its own."""

    site: Path
    home: Path
    root: Path | None

    def command(self, *arguments: str) -> list[str]:
        if self.root is None:
            return list(arguments)
        places = (str(self.root), str(self.site), str(self.home))
        return ["unshare", "--mount", "sh", "-c", CAGE, "cage", *places, *arguments]

    def environment(self, **settings: object) -> dict[str, str]:
        given = {f"ENLACE_{name}": str(value) for name, value in settings.items()}
        site = str(self.site) if self.root is None else "/srv"
        # A checkout below /tmp would be hidden by a new /tmp, and its interpreter with it.
        keep = {"KEEP_TMP": "1", "TMPDIR": "/media/var"} if Path(sys.prefix).is_relative_to("/tmp") else {}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": site, "PYTHONDONTWRITEBYTECODE": "1", **keep, **given}

    def run(self, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        env = self.environment(**settings)
        return subprocess.run(
            self.command(*arguments), env=env, cwd=self.home, capture_output=True, text=True, timeout=90
        )


def _can_be_caged(root: Path) -> bool:
    tools = all(shutil.which(tool) for tool in ("unshare", "setpriv", "chroot"))
    if os.geteuid() != 0 or not tools:
        return False
    probe = 'mount --rbind / "$1" && mount -o remount,bind,ro "$1"'
    return (
        subprocess.run(["unshare", "--mount", "sh", "-c", probe, "probe", str(root)], capture_output=True).returncode
        == 0
    )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Built from just what .dockerignore admits, without the network, as the Dockerfile does it."""
    folder = tmp_path_factory.mktemp("image")
    source, site, home, root = (folder / name for name in ("source", "site", "home", "root"))
    for made in (source, site, home / "var", root):
        made.mkdir(parents=True)
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in admitted:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    _do(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(source))
    wheel = next(folder.glob("*.whl"))
    _do(*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    caged = _can_be_caged(root)
    if caged:
        os.chown(home / "var", UID, UID)
    for path in (folder, home, site):
        path.chmod(0o755 if caged or path == folder else 0o555)
    return Image(site, home, root if caged else None)


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_nothing_of_the_sources_is_left_out(image: Image) -> None:
    source = image.site.with_name("source")
    for package in ("service", "fhir_profiles", "mappers", "adt_listener", "openapi"):
        files = (path for path in (image.site / package).rglob("*") if path.is_file() and path.suffix != ".pyc")
        there = {path.relative_to(image.site) for path in files}
        wanted = {path.relative_to(source) for path in (source / package).rglob("*") if path.is_file()}
        assert there == wanted


def test_the_cage_holds(image: Image) -> None:
    """What runs is the wheel, and nothing but var (and /tmp) can be written."""
    script = """
import os, sys, service
print(os.path.dirname(service.__file__), os.geteuid())
for place in sys.argv[1:]:
    try:
        open(os.path.join(place, "probe"), "w").close()
        print("wrote", place)
    except OSError:
        pass
"""
    site = str(image.site) if image.root is None else "/srv"
    places = (".", "var", site, *(() if image.root is None else ("/etc", "/opt", "/work", "/tmp", "/srv/service")))
    done = image.run(sys.executable, "-c", script, *places)
    assert done.returncode == 0, done.stderr[-2000:]
    first, *wrote = done.stdout.splitlines()
    uid = os.geteuid() if image.root is None else UID
    assert first == f"{site}/service {uid}"
    fresh_tmp = image.root is not None and "KEEP_TMP" not in image.environment()
    assert wrote == (["wrote var", "wrote /tmp"] if fresh_tmp else ["wrote var"])


def test_a_whole_life(image: Image) -> None:
    """migrate, serve --all, ready, a page, a file, both descriptions of the API, enlace health, SIGTERM, exit 0."""
    http, mllp = free_port(), free_port()
    enlace = (sys.executable, "-m", "service.cli")
    settings = {"HTTP_PORT": http, "MLLP_PORT": mllp}
    migrated = image.run(*enlace, "migrate", **settings)
    assert migrated.returncode == 0, migrated.stderr[-2000:]
    log = image.home / "var" / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            image.command(*enlace, "serve", "--all"), env=image.environment(**settings), cwd=image.home,
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=30) as client:
            wait_for(lambda: _ready(client, process, log), 60)
            _served(client)
        health = image.run(*enlace, "health", **settings)
        assert (health.returncode, health.stdout) == (0, f"127.0.0.1:{http} lives.\n")
        process.terminate()
        assert process.wait(40) == 0, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()
    assert '"level":"error"' not in log.read_text().replace(" ", "")
    assert {path.name for path in image.home.iterdir()} == {"var"}
    assert {"enlace.db", "secret.key"} <= {path.name for path in (image.home / "var").iterdir()}


def _ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-3000:]
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _served(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert found and all(client.get(path).status_code == 200 for path in found)
    assert client.get("/openapi.json").json()["openapi"].startswith("3.1")
    assert client.get("/docs/swagger-ui.css").status_code == 200
    assert client.get("/fhir/metadata").json()["resourceType"] == "CapabilityStatement"
