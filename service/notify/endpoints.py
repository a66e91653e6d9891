"""Whereto a subscription may send: the form of an address by channel, and the addresses that its client may have.

../shared/facts/security.md A6, A7. client.endpoints holds host names, mail domains (@example.org) and telephone
numbers; in the sandbox an empty list admits every address that the egress guard admits.
"""

import re
from collections.abc import Iterable, Sequence

from service.egress import EgressRefused, check_url
from service.setting_urls import mailbox

_TEL = re.compile(r"tel:\+[1-9](?:[-.]?[0-9]){6,14}\Z")
_HTTPS = (
    "an absolute https URL without user name, password, fragment and blanks, such as https://hooks.example.org/enlace"
)
_WHY = {
    "not-https": "Notifications are sent by https only: plain http is refused.",
    "port": "Notifications are sent to port 443 only: leave the port out.",
    "address-not-public": "The address is private, link-local or otherwise not public: give a public one.",
    "address-form": "The address is private, link-local or otherwise not public: give a public one.",
    "local-name": "The host is a name of one machine or one network: give a public one.",
    "host-form": f"The endpoint is {_HTTPS}.",
    "url-form": f"The endpoint is {_HTTPS}.",
}
_EXCEPTED = frozenset({"not-https", "port", "address-not-public", "address-form", "local-name"})
_EXCEPT = " In a sandbox the operator may except one: ENLACE_EGRESS_ALLOW=host:port."
_NOT_LISTED = (
    "The client may not have this endpoint: the operator registers the host, mail domain (@example.org) or telephone "
    "number with `enlace client endpoints`."
)


def problem(
    channel: str, endpoint: str, allowed: Sequence[str], *, sandbox: bool, exceptions: Iterable[str] = ()
) -> str:
    """A sentence, "" where there is none. allowed: client.endpoints. exceptions: ENLACE_EGRESS_ALLOW."""
    place = ""
    if channel == "rest-hook":
        try:
            place = check_url(endpoint, exceptions).host
        except EgressRefused as refused:
            why = _WHY.get(refused.reason, _WHY["url-form"])
            return why + _EXCEPT if sandbox and refused.reason in _EXCEPTED else why
    elif channel == "email":
        address = endpoint.removeprefix("mailto:")
        if address == endpoint or not mailbox(address):
            return "The endpoint of e-mail is mailto: and one plain address, such as mailto:care@example.org."
        place = "@" + address.rpartition("@")[2].lower()
    elif channel == "sms":
        if not _TEL.match(endpoint):
            return "The endpoint of SMS is tel: and a number with its country, such as tel:+19165550100."
        place = re.sub(r"[^+0-9]", "", endpoint)
    else:
        return ""
    return "" if place in allowed or (sandbox and not allowed) else _NOT_LISTED
