"""Checks of `enlace doctor` on the ways out: mail server, SMS gateway, client certificate, notices. Nothing is sent."""

from cryptography import x509

from service.cli.doctor_site import Finding, Level, Site, ago
from service.egress import Egress, EgressFailed, EgressRefused
from service.key_files import certificate_problems
from service.notify.channels.mail import Mail
from service.notify.model import Outcome
from service.setting_urls import smtp_server
from service.store import condition

SOON_DAYS = 30
LATE_WARN, LATE_FAIL = 15 * 60_000_000, 4 * 3_600_000_000
"""A notice that waits so long beyond its time: a mail server that puts off strangers does so for minutes."""
_DAY_US = 86_400_000_000
_MAIL_REMEDIES = {
    "credentials": "correct user and password in ENLACE_SMTP_URL",
    "no-tls": "use a server that offers STARTTLS, or smtps://",
    "tls": "give the server a certificate that the system believes, under the name in ENLACE_SMTP_URL",
    "timeout": "open the firewall towards the mail server, or correct its port in ENLACE_SMTP_URL",
}
_WRITES = "correct ENLACE_SMTP_URL, or start the mail server; notifications wait and are tried again for 72 h"

_OF_CHANNEL = "see the lines mail and sms"
_REMEDIES = {
    "not-configured": "set ENLACE_SMTP_URL or ENLACE_SMS_URL, or let the person choose another channel",
    "no-contact": "put the person's address into the directory (Practitioner.telecom)",
    "recipient": "correct the person's address in the directory (Practitioner.telecom)",
    "address-form": "correct the person's address in the directory (Practitioner.telecom)",
}
"""By the reason that a notice gives; else the trouble is the way itself."""


async def mail(site: Site) -> list[Finding]:
    """Connect, encrypt, log in, leave."""
    url = site.settings.smtp_url.get_secret_value() if site.settings.smtp_url else ""
    server = smtp_server(url)
    if server is None:
        return [Finding("ok", "mail", "ENLACE_SMTP_URL is unset: no e-mail is sent.")]
    try:
        result = await Mail(url, site.settings.sender, sandbox=site.settings.sandbox).check()
    except ValueError:
        sentence = f"{site.settings.sender} cannot be the sender of mail."
        return [Finding("fail", "mail", sentence, "set ENLACE_MAIL_FROM to an address of your own")]
    where = f"The mail server {server.host}:{server.port}"
    if result.outcome is not Outcome.OK:
        remedy = _MAIL_REMEDIES.get(result.reason, _WRITES)
        return [Finding("fail", "mail", f"{where} takes no mail from here ({result.reason}).", remedy)]
    plain = site.settings.sandbox and server.loopback and not server.tls
    how = "without TLS, as a sandbox may on its own machine" if plain else "under TLS"
    return [Finding("ok", "mail", f"{where} answers, {how}.")]


async def sms(site: Site) -> list[Finding]:
    """HEAD, without the token: any answer shows that the gateway is there, and none costs a message."""
    settings = site.settings
    if settings.sms_url is None:
        return [Finding("ok", "sms", "ENLACE_SMS_URL is unset: no SMS is sent.")]
    egress = Egress(settings.egress_allow, timeout_s=4.0)
    try:
        await egress.request("HEAD", settings.sms_url.get_secret_value(), keep_body=False)
    except EgressRefused as error:
        sentence = f"The guard refuses the address of the SMS gateway ({error.reason})."
        remedy = "set ENLACE_SMS_URL to an https URL at a public address, or in a sandbox ENLACE_EGRESS_ALLOW"
        return [Finding("fail", "sms", sentence, remedy)]
    except EgressFailed as error:
        sentence = f"The SMS gateway does not answer ({error.reason})."
        return [Finding("fail", "sms", sentence, "correct ENLACE_SMS_URL, or ask who runs the gateway")]
    finally:
        await egress.close()
    if settings.sms_token is None:
        return [Finding("warn", "sms", "The SMS gateway answers; no token is set.", "set ENLACE_SMS_TOKEN")]
    return [Finding("ok", "sms", "The SMS gateway answers.")]


async def certificate(site: Site) -> list[Finding]:
    """What receivers see that ask for a client certificate."""
    path, key = site.settings.client_certificate_file, site.settings.client_key_file
    if problems := certificate_problems(path, key):
        remedy = "name a PEM certificate with its chain, and its key without a passphrase; or unset both"
        return [Finding("fail", "certificate", problem, remedy) for problem in problems]
    if path is None or key is None:
        return [Finding("ok", "certificate", "There is no client certificate: deliveries go without mutual TLS.")]
    found = []
    if key.stat().st_mode & 0o007:
        sentence = "Everybody may read the key of the client certificate."
        found.append(Finding(site.grave, "certificate", sentence, f"chmod 600 {key}"))
    ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    days = int((ends.timestamp() * 1_000_000 - site.now_us) // _DAY_US)
    sentence = f"The client certificate ends on {ends:%Y-%m-%d}."
    if days < SOON_DAYS:
        remedy = "get a new one, replace both files and restart the workers"
        found.append(Finding("fail" if days < 0 else "warn", "certificate", sentence, remedy))
    return found or [Finding("ok", "certificate", sentence)]


async def notices(site: Site) -> list[Finding]:
    """What people were to be told and were not."""
    seen = await condition.notices(site.database, site.now_us)
    found = []
    late = site.now_us - seen.late_us if seen.late_us is not None else 0
    if late > LATE_WARN:
        level: Level = "fail" if late > LATE_FAIL else "warn"
        if seen.untried:
            sentence = f"The oldest notice ({seen.channel}) waits for {ago(late)} beyond its time; nobody took it."
            remedy = "start `enlace worker`; see its log"
        else:
            sentence = f"The oldest notice that does not go out ({seen.channel}: {seen.reason}) fails for {ago(late)}."
            remedy = f"{_REMEDIES.get(seen.reason, _OF_CHANNEL)}; it is tried again by itself, for 72 h"
        found.append(Finding(level, "notices", sentence, remedy))
    if seen.failed:
        shown = ", ".join(f"{count} {channel} ({reason})" for (channel, reason), count in list(seen.failed.items())[:5])
        reason = next(iter(seen.failed))[1]
        remedy = f"{_REMEDIES.get(reason, _OF_CHANNEL)}; then `enlace notices list --state failed`, "
        remedy += "`enlace notices replay ID`"
        found.append(Finding("warn", "notices", f"Notices that failed for good: {shown}.", remedy))
    return found or [Finding("ok", "notices", "No notice to a person failed or is late.")]
