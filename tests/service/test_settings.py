"""Settings: typed, named in refusals, without their values; production refuses what only a trial may do."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.key_files import SANDBOX_MARK
from service.setting_urls import smtp_server
from service.settings import Settings, SettingsError, describe, load

KEY = "k" * 32


def refused(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return list(caught.value.problems)


def test_defaults_are_those_of_the_contract() -> None:
    settings = load({"PATH": "/bin"})
    assert settings.database_url.get_secret_value() == "sqlite:///var/enlace.db"
    assert (settings.http_port, settings.mllp_port, settings.time_zone) == (8000, 2575, "America/Los_Angeles")
    assert settings.http_host == settings.mllp_host == "127.0.0.1"
    assert settings.sandbox and settings.base_url == "http://127.0.0.1:8000"
    settings.check()


def test_each_name_of_the_contract_and_decisions_is_known() -> None:
    names = (
        "DATABASE_URL ENV HTTP_HOST HTTP_PORT MLLP_HOST MLLP_PORT PUBLIC_URL TIME_ZONE LOG_FORMAT LOG_LEVEL"
        " SECRET_KEY_FILE AUDIT_KEY_FILE AUDIT_RECEIPTS AUTH_MODE EGRESS_ALLOW SMTP_URL SMS_URL IG_PACKAGES"
        " DATABASE_READER_URL WORKER_CONCURRENCY"
        " MAX_IN_FLIGHT CLIENT_RATE DRAIN_SECONDS HEALTH_PORT DISK_RESERVE_MB DATABASE_LIMIT_MB FEED_SILENCE_HOURS"
        " MAIL_FROM SMS_TOKEN CLIENT_CERTIFICATE_FILE CLIENT_KEY_FILE"
        " MLLP_TLS_CERTIFICATE_FILE MLLP_TLS_KEY_FILE MLLP_TLS_CLIENT_CA_FILE UNMATCHED_DAYS TIMER_DAYS"
        " MEASURE_SMALL_CELL BACKUP_AGE_HOURS OTEL_ENDPOINT TRUSTED_PROXIES CORS_ORIGINS"
        " ISSUER_FILE ECM_GRACE_DAYS BREAK_GLASS"
    )
    assert {f"ENLACE_{name}" for name in names.split()} == {name for name, _default, _sentence in describe()}


def test_values_are_typed_and_blank_counts_as_unset() -> None:
    settings = load(
        {
            "ENLACE_HTTP_PORT": "8080",
            "ENLACE_EGRESS_ALLOW": "127.0.0.1:9000, [::1]:9001,",
            "ENLACE_IG_PACKAGES": "a.tgz,b.tgz",
            "ENLACE_SMTP_URL": " ",
            "ENLACE_PUBLIC_URL": "https://enlace.example.org/",
        }
    )
    assert settings.http_port == 8080
    assert settings.egress_allow == ("127.0.0.1:9000", "[::1]:9001")
    assert settings.ig_packages == ("a.tgz", "b.tgz")
    assert settings.smtp_url is None
    assert settings.base_url == "https://enlace.example.org"


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("ENLACE_DATABSE_URL", "ENLACE_DATABASE_URL"),
        ("ENLACE_PORT", None),
        ("enlace_http_port", "ENLACE_HTTP_PORT"),
        ("ENLACE_HTTP_PROT", "ENLACE_HTTP_PORT"),
        ("ENLACE_", None),
    ],
)
def test_unknown_name_is_refused_with_the_nearest_one(given: str, near: str | None) -> None:
    (problem,) = refused({given: "8080"})
    assert given in problem and "8080" not in problem and problem.endswith((".", "?"))
    if near:
        assert f"did you mean {near}?" in problem


def test_names_of_the_tests_are_ignored() -> None:
    assert load({"ENLACE_TEST_REQUIRE": "postgres", "ENLACE_TEST_WHATEVER": "1"}) == load({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENV", "prod"),
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", "http"),
        ("MLLP_PORT", "25.5"),
        ("TIME_ZONE", "Pacific"),
        ("TIME_ZONE", "../etc/passwd"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("AUTH_MODE", "none"),
        ("PUBLIC_URL", "enlace.example.org"),
        ("PUBLIC_URL", "http://"),
        ("PUBLIC_URL", "http://[::1"),
        ("DATABASE_URL", "mysql://root:hunter2@db/enlace"),
        ("DATABASE_READER_URL", "hunter2"),
        ("EGRESS_ALLOW", "localhost"),
        ("EGRESS_ALLOW", "localhost:99999"),
        ("WORKER_CONCURRENCY", "0"),
    ],
)
def test_bad_value_is_one_sentence_that_names_the_setting_and_not_the_value(name: str, value: str) -> None:
    (problem,) = refused({f"ENLACE_{name}": value})
    assert problem.startswith(f"ENLACE_{name} has a bad value: it must ") and problem.endswith(".")
    assert not re.search(rf"{re.escape(value)}\b", problem.split("must", 1)[1].split("such as")[0]) or value == "0"
    assert "hunter2" not in problem


def test_all_problems_come_at_once() -> None:
    problems = refused({"ENLACE_HTPP_PORT": "1", "ENLACE_ENV": "x", "ENLACE_LOG_LEVEL": "x"})
    assert len(problems) == 3


def test_secrets_do_not_show() -> None:
    settings = load(
        {"ENLACE_DATABASE_URL": "postgresql://enlace:hunter2@db/enlace", "ENLACE_SMTP_URL": "smtps://a:hunter2@m"}
    )
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"


def production(tmp_path: Path, **changed: str) -> Settings:
    for name in ("secret", "audit"):
        (tmp_path / name).write_text(name + KEY)
        (tmp_path / name).chmod(0o600)
    return load(
        {
            "ENLACE_ENV": "production",
            "ENLACE_PUBLIC_URL": "https://enlace.example.org",
            "ENLACE_DATABASE_URL": "postgresql://enlace:x7Gq9@db/enlace",
            "ENLACE_SECRET_KEY_FILE": str(tmp_path / "secret"),
            "ENLACE_AUDIT_KEY_FILE": str(tmp_path / "audit"),
        }
        | {f"ENLACE_{name}": value for name, value in changed.items()}
    )


def test_production_in_order_starts(tmp_path: Path) -> None:
    production(tmp_path).check()
    production(tmp_path, DATABASE_URL="sqlite:////srv/enlace.db").check()
    production(tmp_path, DATABASE_URL="postgresql:///enlace?host=/run/postgresql").check()
    production(tmp_path, DATABASE_READER_URL="postgresql://reader:y8Hr0@db/enlace").check()
    production(tmp_path, SMTP_URL="smtps://enlace:z9@mail.example.org:465").check()
    production(tmp_path, SMTP_URL="smtp://enlace:z9@mail.example.org").check()  # STARTTLS is demanded there


@pytest.mark.parametrize(
    "near",
    [
        "https://otel.example.org",
        "http://127.0.0.1:4318",
        "http://[::1]:4318",
        "http://10.1.2.3:4318",
        "http://collector:4318",
        "http://otel.monitoring.svc:4318",
        "http://otel.monitoring.svc.cluster.local:4318",
    ],
)
def test_traces_may_go_to_a_collector_nearby(near: str, tmp_path: Path) -> None:
    production(tmp_path, OTEL_ENDPOINT=near).check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "http://enlace.example.org"),
        ("PUBLIC_URL", ""),
        ("EGRESS_ALLOW", "127.0.0.1:9000"),
        ("SMS_URL", "http://sms.example.org"),
        ("DATABASE_URL", "postgresql://enlace:enlace@db/enlace"),
        ("DATABASE_URL", "postgresql://enlace:%63hangeme@db/enlace"),
        ("DATABASE_URL", "postgresql://pilot7:pilot7@db/enlace"),
        ("DATABASE_READER_URL", "postgresql://reader@db/enlace"),
        ("DATABASE_READER_URL", "postgresql://enlace:x7Gq9@replica/enlace"),
        ("OTEL_ENDPOINT", "http://otel.example.org:4318"),
        ("OTEL_ENDPOINT", "http://203.0.113.7.example.org:4318"),
        ("OTEL_ENDPOINT", "http://8.8.8.8:4318"),
        ("OTEL_ENDPOINT", "otel.example.org:4318"),
        ("LOG_LEVEL", "debug"),
        ("CLIENT_RATE", "0"),
        ("SECRET_KEY_FILE", "/nowhere/secret.key"),
        ("AUDIT_KEY_FILE", "/nowhere/audit.key"),
    ],
)
def test_production_refuses_what_only_a_trial_may_do(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^ENLACE_{name} ") as caught:
        production(tmp_path, **{name: value}).check()
    assert len(caught.value.problems) == 1


def test_production_refuses_one_key_for_both(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^ENLACE_AUDIT_KEY_FILE must not hold the key of ENLACE_SECRET_KEY_FILE"):
        production(tmp_path, AUDIT_KEY_FILE=str(tmp_path / "secret")).check()
    settings = production(tmp_path)
    (tmp_path / "audit").write_text((tmp_path / "secret").read_text() + "\n")
    with pytest.raises(SettingsError, match=r"^ENLACE_AUDIT_KEY_FILE "):
        settings.check()


def test_a_sandbox_takes_all_that_production_refuses() -> None:
    names = {"LOG_LEVEL": "debug", "CLIENT_RATE": "0", "SMTP_URL": "smtp://m", "OTEL_ENDPOINT": "http://8.8.8.8:4318"}
    load({f"ENLACE_{name}": value for name, value in names.items()}).check()


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [("short", 0o600, "32 bytes"), (KEY, 0o604, "0600"), (SANDBOX_MARK.decode() + KEY, 0o600, "sandbox")],
)
def test_production_refuses_a_weak_key(content: str, mode: int, said: str, tmp_path: Path) -> None:
    settings = production(tmp_path)
    (tmp_path / "secret").write_text(content)
    (tmp_path / "secret").chmod(mode)
    with pytest.raises(SettingsError, match=said):
        settings.check()
    with pytest.raises(SettingsError, match=said):
        settings.secret_key()


def test_sandbox_makes_its_key_once_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret.key"
    settings = load({"ENLACE_SECRET_KEY_FILE": str(path)})
    key = settings.secret_key()
    assert len(key) > 64 and settings.secret_key() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["secret.key"]


def test_import_is_cheap() -> None:
    script = "import sys, service.settings; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"fastapi", "sqlalchemy", "httpx", "fhir", "pydantic_settings"} & set(loaded)


def test_what_is_not_built_yet_is_said() -> None:
    assert load({}).idle == ()
    used = {"ENLACE_SMTP_URL": "smtps://u:p@mail.example.org:465", "ENLACE_SMS_URL": "https://sms.example.org"}
    assert load(used | {"ENLACE_IG_PACKAGES": "a.tgz"}).idle == ("ENLACE_IG_PACKAGES",)


@pytest.mark.parametrize(
    "url", ["mail.example.org", "http://mail.example.org", "smtps://", "smtps://m:x", "smtp://m/x"]
)
def test_a_mail_server_is_a_url_of_its_kind(url: str) -> None:
    (problem,) = refused({"ENLACE_SMTP_URL": url})
    assert problem.startswith("ENLACE_SMTP_URL has a bad value: it must name a mail server such as smtps://")


def test_mail_servers() -> None:
    given = smtp_server("smtps://en%40lace:p%40ss@mail.example.org")
    assert given is not None
    assert (given.host, given.port, given.tls, given.user, given.password) == (
        *("mail.example.org", 465, True, "en@lace", "p@ss"),
    )
    assert "p@ss" not in repr(given) and not given.loopback
    near = [smtp_server(f"smtp://{host}") for host in ("localhost", "127.0.0.1", "[::1]", "10.0.0.1", "localhost.evil")]
    assert [one.loopback for one in near if one and one.port == 587] == [True, True, True, False, False]


@pytest.mark.parametrize(
    "address", ["enlace", "Enlace <a@b.org>", "a@b.org\nBcc: c@d.org", "a@b.org,c@d.org", "a@b.org?x"]
)
def test_the_sender_is_one_address(address: str) -> None:
    assert refused({"ENLACE_MAIL_FROM": address})[0].startswith("ENLACE_MAIL_FROM has a bad value: it must be one")


def test_the_sender_is_of_the_own_host_by_default() -> None:
    assert load({"ENLACE_PUBLIC_URL": "https://enlace.example.org/x"}).sender == "enlace@enlace.example.org"
    assert load({"ENLACE_MAIL_FROM": "care@example.org"}).sender == "care@example.org"


def test_a_client_certificate_needs_its_key(tmp_path: Path) -> None:
    for given, missing in (("CERTIFICATE", "KEY"), ("KEY", "CERTIFICATE")):
        settings = load({f"ENLACE_CLIENT_{given}_FILE": str(tmp_path / "x.pem")})
        with pytest.raises(SettingsError, match=f"^ENLACE_CLIENT_{missing}_FILE must name"):
            settings.check()
    (tmp_path / "x.pem").write_text("no certificate")
    both = {f"ENLACE_CLIENT_{name}_FILE": str(tmp_path / "x.pem") for name in ("CERTIFICATE", "KEY")}
    with pytest.raises(SettingsError, match=r"^ENLACE_CLIENT_CERTIFICATE_FILE and .* must be a PEM certificate"):
        load(both).check()
