"""A1, A2, A23, A27, A32 of ../shared/facts/security.md 5, as far as the sources themselves show them."""

import ast
import re
import subprocess

import pytest

from service.settings import load
from tests.architecture.test_tree import PACKAGES, ROOT, relative, sources

SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{20,}"
    r"|\bAIza[0-9A-Za-z_-]{35}\b"
    r"|\bsk_live_[0-9A-Za-z]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"
    r'|"d"\s*:\s*"[A-Za-z0-9_-]{40,}"'
    r"|\b(?:password|client_secret|api_key)\s*[:=]\s*[\"'][A-Za-z0-9+/=]{24,}[\"']"
)
TEXT = {".py", ".md", ".json", ".yaml", ".yml", ".toml", ".sh", ".cfg", ".conf", ".env", ".service", ".html", ".js", ""}


def test_a01_no_secret_is_committed() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    paths = [ROOT / name.decode() for name in names if name]
    texts = [one for one in paths if one.suffix in TEXT and one.is_file() and one.stat().st_size < 400_000]
    assert len(texts) > 300
    assert [relative(path) for path in texts if SECRETS.search(path.read_text(errors="replace"))] == []


MODULES = {"pickle", "marshal", "shelve", "dill", "jsonpickle"}
BUILT_IN = {"eval", "exec", "__import__"}
CALLS = {("yaml", "load"), ("os", "system"), ("os", "popen"), ("tempfile", "mktemp"), ("jinja2", "Template")}


def test_a02_a27_what_opens_attacks_is_called_nowhere() -> None:
    """No pickle, no evaluated text, no template from data, no shell."""
    wrong = []
    for path in sources(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    bad = bool({one.name.partition(".")[0] for one in names} & MODULES)
                case ast.ImportFrom(module=str(module)):
                    bad = module.partition(".")[0] in MODULES
                case ast.Call(func=ast.Name(id=name)):
                    bad = name in BUILT_IN
                case ast.Call(func=ast.Attribute(value=ast.Name(id=one), attr=attr)):
                    bad = (one, attr) in CALLS
                case ast.keyword(arg="shell" | "autoescape" as arg, value=ast.Constant(value=value)):
                    bad = value is (arg == "shell")
                case _:
                    bad = False
            if bad:
                wrong.append(
                    f"{relative(path)}: {ast.unparse(node) if not isinstance(node, ast.keyword) else node.arg}"
                )
    assert wrong == []


def test_a23_plain_mllp_stays_on_this_machine() -> None:
    assert load({}).mllp_host == "127.0.0.1"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a32_every_package_is_pinned_by_its_hash(name: str) -> None:
    """And those whose older versions had the holes of A2, A11 and A12 are above them."""
    text = re.sub(r"(?m)^\s*#.*\n?", "", (ROOT / name).read_text())
    packages: dict[str, tuple[int, ...]] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([0-9][^ \\;]*)", block)
        assert match and "--hash=sha256:" in block, block[:60]
        packages[match[1].lower()] = tuple(int(n) for n in re.findall(r"\d+", match[2])[:3])
    for package, floor in (("starlette", (0, 49, 1)), ("pyjwt", (2, 12)), ("authlib", (1, 7, 1))):
        assert packages.get(package, floor) >= floor, package
    assert "python-jose" not in packages
