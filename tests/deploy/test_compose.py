"""compose.yaml: valid, hardened, no default password, on loopback; what it promises about stopping is kept."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.api.server import GRACE_S
from service.setting_urls import DEFAULT_PASSWORDS
from service.settings import describe, load

ROOT = Path(__file__).parents[2]
FILE = ROOT / "compose.yaml"
OURS = ("migrate", "api-1", "api-2", "worker", "adt-listener", "backup")
STAYING = ("api-1", "api-2", "worker", "adt-listener")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


def test_it_is_valid() -> None:
    tool = Path(sys.executable).with_name("check-jsonschema")
    command = [str(tool), "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_client_reads_it() -> None:
    try:
        found = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    except FileNotFoundError:
        found = False
    if not found:
        pytest.skip("There is no `docker compose` here: the schema alone was checked.")
    env = os.environ | {"POSTGRES_PASSWORD": "x7Gq9"}
    done = subprocess.run(
        ["docker", "compose", "-f", str(FILE), "config", "-q"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_runs(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {"postgres", "haproxy", *OURS}
    verbs = {name: services[name]["command"][1] for name in STAYING}
    assert verbs == {"api-1": "serve", "api-2": "serve", "worker": "worker", "adt-listener": "adt-listener"}
    for name in STAYING:
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        asked = services[name]["environment"].get("ENLACE_HEALTH_PORT")
        assert (asked is not None) is (name in ("worker", "adt-listener")), "what `enlace health` asks"


def test_every_service_is_hardened(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"] not in ("root", "0", "0:0"), name
        assert any(entry.startswith("/tmp") for entry in service["tmpfs"]), name
        assert "privileged" not in service and "cap_add" not in service, name


def test_ports_are_on_loopback_and_of_the_proxy_alone(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"haproxy"}
    assert all(port.startswith("127.0.0.1:") for port in published["haproxy"])


def test_no_password_stands_in_the_file() -> None:
    text = FILE.read_text()
    used = re.findall(r"\$\{[A-Z_]*PASSWORD[^}]*\}", text)
    assert len(used) >= 2 and all(":?" in use for use in used), "without a password the start is refused"
    assert not re.search(r"PASSWORD: (?!\$\{)", text)
    for password in DEFAULT_PASSWORDS - {""}:
        assert f":{password}@" not in text


def test_settings_load_and_keys_come_as_files(services: dict[str, dict[str, Any]]) -> None:
    known = {name for name, _default, _sentence in describe()}
    for name in OURS:
        given = services[name]["environment"]
        assert set(given) <= known
        settings = load({key: re.sub(r"\$\{[^:}]*:?-?\??([^}]*)\}", r"\1", value) for key, value in given.items()})
        assert str(settings.secret_key_file).startswith("/run/secrets/")
        assert str(settings.audit_key_file).startswith("/run/secrets/")
        assert set(services[name]["secrets"]) == {"secret_key", "audit_key"}


def test_a_stop_has_time_for_the_drain_and_the_rest(services: dict[str, dict[str, Any]]) -> None:
    for name in STAYING:
        drain = int(services[name]["environment"]["ENLACE_DRAIN_SECONDS"])
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > drain + GRACE_S + 5
        assert drain > 4, "the proxy needs two checks to notice"


def test_receipts_of_the_audit_outlive_their_container(services: dict[str, dict[str, Any]]) -> None:
    assert services["worker"]["volumes"] == ["receipts:/app/var"]
    assert not any(entry.startswith("/app/var") for entry in services["worker"]["tmpfs"])


def test_the_database_keeps_checksums_and_its_data(services: dict[str, dict[str, Any]]) -> None:
    postgres = services["postgres"]
    assert postgres["image"].startswith("postgres:15")
    assert "--data-checksums" in postgres["environment"]["POSTGRES_INITDB_ARGS"]
    assert (
        postgres["volumes"] == ["postgres:/var/lib/postgresql/data"] and "pg_isready" in postgres["healthcheck"]["test"]
    )
