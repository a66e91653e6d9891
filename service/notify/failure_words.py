"""THE table of what a failed attempt is called in words: code of the ledger -> what happened, and what to do.

A sentence names neither address nor person, so that it may stand in an answer, on a page and in a terminal.
"""

WORDS = {
    "timeout": "The receiver did not answer in time. Answer first, and work afterwards.",
    "connect": "No connection to the receiver. Is it running, and reachable from outside?",
    "network": "The connection broke off before the answer. Is a proxy between us ending it?",
    "disconnected": "The mail server ended the connection.",
    "answer": "The mail server answered with an error of its own.",
    "redirect": "The receiver answered with a redirect. These are not followed: write the last address as endpoint.",
    "http-1xx": "The receiver answered without an end (1xx). Answer 200.",
    "http-2xx": "The receiver took it.",
    "http-4xx": "The receiver refused it (4xx). Look at its log: path, certificate, headers, signature.",
    "http-5xx": "The receiver failed (5xx). Look at its log.",
    "gone": "The receiver says that it is gone for good (410). Write another endpoint.",
    "url-form": "The endpoint is no URL that we can use. Write it as https://host/path.",
    "not-https": "The endpoint is not https. Write an https address.",
    "port": "The endpoint's port is not 443. Use 443, or ask the operator for an exception.",
    "host-form": "The endpoint's host is no name that we can look up.",
    "local-name": "The endpoint's host is a name of a local network. Use a public one.",
    "address-form": "The address is not of a form that we can send to.",
    "address-not-public": "The endpoint's name leads to an address that is not public. Use a public one.",
    "no-address": "The endpoint's name is not known to the domain name system.",
    "request-form": "The request could not be put together. Look at the Subscription's headers.",
    "message-form": "The message could not be put together. Look at the Subscription's headers and payload.",
    "content-encoding": "The receiver answered in a compression that was not asked for.",
    "too-large": "The receiver's answer was too long. Answer without a body.",
    "tls": "No safe connection: the certificate or the TLS version was not accepted.",
    "no-tls": "The mail server offers no TLS, and this content goes over TLS only. Ask the operator.",
    "credentials": "The mail server or gateway did not let us in. Ask the operator.",
    "sender": "The mail server did not take our sender address. Ask the operator.",
    "recipient": "The mail server does not know the address.",
    "content": "The mail server refused the message.",
    "later": "The mail server asked us to come again later.",
    "not-taken": "The gateway does not take messages to this number.",
    "no-channel": "This channel is not set up on this installation. Ask the operator.",
    "slow-reader": "The websocket was not read fast enough and was closed. Connect again.",
    "handshake": "The handshake was not answered with 2xx.",
    "expired": "It was kept for 30 days and never arrived. Ask for what you missed by a search.",
    "secret": "The secret could not be opened. Ask the operator.",
    "defect": "It failed by our fault, and is tried again. Tell the operator.",
}
_ELSE = "It did not arrive ({})."


def in_words(reason: str, status: int = 0) -> str:
    """status: of HTTP or SMTP, 0 without."""
    known = WORDS.get(reason) or _ELSE.format(reason or "no reason given")
    return f"{known} Status {status}." if status else known
