"""Every environment variable of the service, typed, with a sentence each; read once at start.

Source: contract.md "Settings", decisions.md 26 and 36. pydantic-settings ignores an unknown ENLACE_* name (and costs
0.3 s to import), so the environment is compared by hand here and pydantic checks the values.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from service.key_files import (
    certificate_problems,
    client_context,
    key_problem,
    listener_context,
    listener_problems,
    make_key,
)
from service.setting_forms import FORMS
from service.setting_names import PREFIX, unknown
from service.setting_names import variable as variable
from service.setting_urls import default_password, hostname, login, stays_near

if TYPE_CHECKING:
    import ssl

IGNORED = "ENLACE_TEST_"
"""Names that steer the tests; the service never reads them."""

IDLE = ("ig_packages",)
"""Settings whose part is not built yet: the start says so in the log, `enlace doctor` too."""


class SettingsError(Exception):
    """The environment is wrong: one sentence for each problem, naming the setting, never its value."""

    def __init__(self, problems: Iterable[str]):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Listed = Annotated[tuple[str, ...], BeforeValidator(_split)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseModel):
    """All settings; a field `x` is the variable ENLACE_X. An empty variable counts as unset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: Literal["sandbox", "production"] = Field(
        "sandbox",
        description="Kind of installation: `sandbox` or `production`, which refuses what only a trial may do.",
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///var/enlace.db"),
        description="The store: `sqlite:///path` (embedded) or `postgresql://user:password@host:5432/name`.",
    )
    database_reader_url: SecretStr | None = Field(
        None,
        description="PostgreSQL as the reader role, under row-level security: a third wall. `enlace migrate` makes its "
        "policies.",
    )
    http_host: str = Field("127.0.0.1", description="Address on which the API and the pages listen.")
    http_port: Port = Field(8000, description="Port of the API and the pages.")
    mllp_host: str = Field("127.0.0.1", description="Address on which the ADT listener takes HL7 v2 over MLLP.")
    mllp_port: Port = Field(2575, description="Port of the ADT listener.")
    mllp_tls_certificate_file: Path | None = Field(
        None,
        description="PEM file of the ADT listener's certificate, with its chain; with the next two, its port speaks "
        "mutual TLS only.",
    )
    mllp_tls_key_file: Path | None = Field(
        None, description="PEM file with the key of ENLACE_MLLP_TLS_CERTIFICATE_FILE, without a passphrase."
    )
    mllp_tls_client_ca_file: Path | None = Field(
        None, description="PEM file of the authorities whose certificates senders show over MLLP."
    )
    public_url: str = Field(
        "", description="Base URL under which clients reach the service; unset: made of host and port."
    )
    time_zone: str = Field(
        "America/Los_Angeles", description="IANA zone in which days and deadlines are counted and pages show times."
    )
    log_format: Literal["json", "console"] = Field("json", description="Shape of log lines: `json` or `console`.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged: `debug`, `info`, `warning` or `error`."
    )
    secret_key_file: Path = Field(
        Path("var/secret.key"),
        description="File with the key of cursors, links, hashes and sealed secrets, at least 32 bytes; a sandbox "
        "makes it.",
    )
    audit_key_file: Path = Field(
        Path("var/audit.key"),
        description="File with the key that seals the audit chain, at least 32 bytes; a sandbox makes it.",
    )
    audit_receipts: Path = Field(
        Path("var/audit-receipts.jsonl"),
        description="File to which each seal of the audit is added, outside the database; `enlace audit verify` "
        "compares it.",
    )
    auth_mode: Literal["builtin", "resource-server"] = Field(
        "builtin",
        description="Who issues access tokens: `builtin`, this service; `resource-server`: the issuer of "
        "ENLACE_ISSUER_FILE.",
    )
    issuer_file: Path | None = Field(
        None, description="JSON file about the external issuer, for ENLACE_AUTH_MODE=resource-server."
    )
    egress_allow: Listed = Field(
        (), description="`host:port` exceptions from the rules for outbound requests, comma-separated; sandbox only."
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server, `smtps://user:password@host:465`, or `smtp://` on port 587, where STARTTLS is "
        "demanded (in a sandbox, mail to the own machine goes without); unset: no e-mail.",
    )
    mail_from: str = Field(
        "", description="Address from which mail is sent; unset: enlace@ the host of the public URL."
    )
    sms_url: SecretStr | None = Field(
        None, description="HTTPS endpoint of the SMS gateway, to which each message is sent as JSON; unset: no SMS."
    )
    sms_token: SecretStr | None = Field(None, description="Bearer token for the SMS gateway.")
    client_certificate_file: Path | None = Field(
        None,
        description="PEM file of the certificate that deliveries by HTTPS show to receivers that ask for one (mutual "
        "TLS), with its chain.",
    )
    client_key_file: Path | None = Field(
        None, description="PEM file with the key of ENLACE_CLIENT_CERTIFICATE_FILE, without a passphrase."
    )
    ig_packages: Listed = Field(
        (), description="Paths of FHIR packages (.tgz) with profiles, comma-separated. Not in use yet."
    )
    trusted_proxies: Listed = Field(
        (),
        description="Addresses or networks of the proxies whose X-Forwarded-For is believed, comma-separated; "
        "otherwise limits by address see the proxy only.",
    )
    cors_origins: Listed = Field(
        (),
        description="Origins of browser apps that may call the API, `https://app.example.org`, comma-separated; `*`: "
        "any, `none`: none. Unset: any in a sandbox, none in production.",
    )
    worker_concurrency: Annotated[int, Field(ge=1, le=256)] = Field(
        8, description="Background jobs that one worker process runs at a time."
    )
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = Field(
        64,
        description="Requests that one API process works on at a time; more wait a second, then get 503 with "
        "Retry-After.",
    )
    break_glass: Literal["on", "off"] = Field(
        "on",
        description="Whether care managers may open a record in an emergency (`on`, `off`); each time is reviewed.",
    )
    ecm_grace_days: Annotated[int, Field(ge=0, le=365)] = Field(
        0,
        description="Days for which an ECM provider still reads, and only reads, the record of a member whose "
        "assignment ended. 0: none.",
    )
    measure_small_cell: Annotated[int, Field(ge=0, le=1000)] = Field(
        11,
        description="Counts from 1 up to below this are not shown in measures to others than the operator, nor what "
        "they could be worked out from. 0: all are shown.",
    )
    unmatched_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        30,
        description="Days after which hospital messages of people who are no members are emptied; that they came, and "
        "why they matched nobody, is kept. 0: never.",
    )
    timer_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        400,
        description="Days for which a timer that ended is kept; `enlace timers measure` looks back no further. "
        "A breach stays in the audit log. 0: for ever.",
    )
    client_rate: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        500,
        description="Requests a second of one client at one API process, twice that in a burst; more are answered 429 "
        "with Retry-After. 0: no limit.",
    )
    drain_seconds: Annotated[int, Field(ge=0, le=600)] = Field(
        0, description="After SIGTERM, seconds in which requests are still answered while `/readyz` says stopping."
    )
    health_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0,
        description="Port on which `enlace worker` and `enlace adt-listener` answer `/healthz`, `/readyz` and "
        "`/metrics`; 0: none.",
    )
    disk_reserve_mb: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        64,
        description="SQLite: free space, MB, below which writes are refused, so that reads and their audit rows go on.",
    )
    database_limit_mb: Annotated[int, Field(ge=0)] = Field(
        0,
        description="PostgreSQL: size of the database, MB, from which writes are refused, so that reads and their "
        "audit rows go on; 0: no limit.",
    )
    feed_silence_hours: Annotated[int, Field(ge=1, le=8760)] = Field(
        24, description="Hours without a message after which `enlace doctor` calls a hospital feed silent."
    )
    backup_age_hours: Annotated[int, Field(ge=1, le=8760)] = Field(
        26, description="Hours after which `enlace doctor` calls the last `enlace backup` too old."
    )
    otel_endpoint: str = Field(
        "", description="OTLP/HTTP collector for traces, `http://host:4318`; unset: none. Needs the extra `otel`."
    )

    @property
    def sandbox(self) -> bool:
        """Whether sandbox tokens, generated keys and egress exceptions are allowed."""
        return self.env == "sandbox"

    @property
    def base_url(self) -> str:
        """The public URL without trailing slash."""
        return (self.public_url or f"http://{self.http_host}:{self.http_port}").rstrip("/")

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins whose browser apps may call the API; `*` among them: any."""
        if not self.cors_origins:
            return ("*",) if self.sandbox else ()
        return tuple(origin for origin in self.cors_origins if origin != "none")

    @field_validator(*FORMS)
    @classmethod
    def _form(cls, value: SecretStr | str | tuple[str, ...] | None, info: ValidationInfo) -> object:
        fits, sentence = FORMS[str(info.field_name)]
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        for text in (plain,) if isinstance(plain, str) else plain or ():
            if text and not fits(text):
                raise ValueError(sentence)
        return value

    def check(self) -> None:
        """Refuse to start: in production no trial convenience is left. Raises SettingsError naming all problems."""
        problems = [] if self.sandbox else list(_production_problems(self))
        if self.auth_mode == "resource-server" and self.issuer_file is None:
            problems.append("ENLACE_ISSUER_FILE must name a file where ENLACE_AUTH_MODE is resource-server.")
        problems += certificate_problems(self.client_certificate_file, self.client_key_file)
        problems += listener_problems(*self._mllp_files)
        if problems:
            raise SettingsError(problems)

    @property
    def _mllp_files(self) -> tuple[Path | None, Path | None, Path | None]:
        return self.mllp_tls_certificate_file, self.mllp_tls_key_file, self.mllp_tls_client_ca_file

    def mllp_tls(self) -> "ssl.SSLContext | None":
        """Mutual TLS of the ADT listener; None: it speaks plainly. Raises SettingsError."""
        if problems := listener_problems(*self._mllp_files):
            raise SettingsError(problems)
        certificate, key, client_ca = self._mllp_files
        return listener_context(certificate, key, client_ca) if certificate and key and client_ca else None

    @property
    def idle(self) -> tuple[str, ...]:
        """Names of the variables that are set and do nothing yet."""
        return tuple(variable(name) for name in IDLE if getattr(self, name))

    @property
    def sender(self) -> str:
        """From whom mail comes."""
        return self.mail_from or f"enlace@{hostname(self.base_url)}"

    def client_tls(self) -> "ssl.SSLContext | None":
        """TLS with the client certificate, for deliveries; None: there is none. Raises SettingsError."""
        if problems := certificate_problems(self.client_certificate_file, self.client_key_file):
            raise SettingsError(problems)
        if self.client_certificate_file is None or self.client_key_file is None:
            return None
        return client_context(self.client_certificate_file, self.client_key_file)

    def secret_key(self) -> bytes:
        """Key of cursors, links and hashes; made by a sandbox when the file is missing. Raises SettingsError."""
        return self._key("secret_key_file")

    def audit_key(self) -> bytes:
        """Key that seals the audit chain; made by a sandbox when the file is missing. Raises SettingsError."""
        return self._key("audit_key_file")

    def _key(self, name: str) -> bytes:
        path: Path = getattr(self, name)
        if self.sandbox and not path.exists():
            make_key(path)
        if problem := key_problem(variable(name), path, self.sandbox):
            raise SettingsError([problem])
        return path.read_bytes().strip()


def load(environ: Mapping[str, str]) -> Settings:
    """Settings of an environment. Raises SettingsError with a sentence for each unknown name and each bad value."""
    known = {variable(name): name for name in Settings.model_fields}
    problems: list[str] = []
    values: dict[str, Any] = {}
    for given in sorted(name for name in environ if name.upper().startswith(PREFIX)):
        if given.upper().startswith(IGNORED):
            continue
        if given not in known:
            problems.append(unknown(given, known))
        elif environ[given].strip():
            values[known[given]] = environ[given].strip()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError([*problems, *(_bad_value(dict(item)) for item in error.errors())]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def describe() -> list[tuple[str, str, str]]:
    """(variable, default, sentence) of each setting, in order: for the README and `enlace doctor`."""
    return [
        (variable(name), _shown(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _shown(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return "" if default in (None, (), "") else str(default)


def _bad_value(item: dict[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "literal_error":
        message = f"must be {item['ctx']['expected']}"
    elif item["type"] in ("int_parsing", "int_type"):
        message = "must be a whole number"
    message = message.replace("Input should be", "must be")
    return f"{variable(str(item['loc'][0]))} has a bad value: it {message}."


def _production_problems(settings: Settings) -> Iterable[str]:
    if not settings.base_url.startswith("https://"):
        yield "ENLACE_PUBLIC_URL must be an https URL in production."
    if settings.egress_allow:
        yield "ENLACE_EGRESS_ALLOW must be empty in production: requests go out to public addresses only."
    if settings.sms_url and not settings.sms_url.get_secret_value().startswith("https://"):
        yield "ENLACE_SMS_URL must be an https URL in production."
    if settings.otel_endpoint and not stays_near(settings.otel_endpoint):
        yield "ENLACE_OTEL_ENDPOINT must be an https URL in production, or http to an address of your own network."
    if "*" in settings.origins:
        yield "ENLACE_CORS_ORIGINS must name its origins in production: * lets every web site call the API."
    if settings.log_level == "debug":
        yield "ENLACE_LOG_LEVEL must not be debug in production: set info."
    if settings.client_rate == 0:
        yield "ENLACE_CLIENT_RATE must not be 0 in production: set the requests a second that one client may send."
    yield from _database_problems(settings)
    yield from _key_problems(settings)


def _database_problems(settings: Settings) -> Iterable[str]:
    """SQLite is allowed: one process on one machine is a choice, and its file has no password."""
    store, reader = settings.database_url, settings.database_reader_url
    for name, url in (("database_url", store), ("database_reader_url", reader)):
        if url and default_password(url.get_secret_value()):
            yield (
                f"{variable(name)} must not hold an empty or a default password in production: give the role a long "
                "random one."
            )
    if reader and login(reader.get_secret_value())[0] == login(store.get_secret_value())[0]:
        yield "ENLACE_DATABASE_READER_URL must name another role than ENLACE_DATABASE_URL in production: or unset it."


def _key_problems(settings: Settings) -> Iterable[str]:
    names = ("secret_key_file", "audit_key_file")
    looked = [key_problem(variable(name), getattr(settings, name), sandbox=False) for name in names]
    found = [problem for problem in looked if problem]
    yield from found
    if not found and settings.secret_key() == settings.audit_key():
        yield (
            "ENLACE_AUDIT_KEY_FILE must not hold the key of ENLACE_SECRET_KEY_FILE in production: make another with "
            "`openssl rand -hex 32`."
        )
