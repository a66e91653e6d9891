"""THE law of Subscription.status: what is stored of what a client sends.

http://hl7.org/fhir/uv/subscriptions-backport/workflow.html: a new endpoint shakes hands before it hears anything, and
after an error it is the client who asks again. `active` after the handshake and `error` are the service's own to say.
"""

LAW = {
    ("", "requested"): "requested",
    ("", "active"): "requested",
    ("", "off"): "off",
    ("requested", "requested"): "requested",
    ("requested", "active"): "requested",
    ("requested", "off"): "off",
    ("active", "requested"): "requested",
    ("active", "active"): "active",
    ("active", "off"): "off",
    ("error", "requested"): "requested",
    ("error", "active"): "requested",
    ("error", "error"): "error",
    ("error", "off"): "off",
    ("off", "requested"): "requested",
    ("off", "active"): "requested",
    ("off", "off"): "off",
}
"""(stored, sent) -> stored next; "": there is none yet. Absent: refused."""

REFUSED = "Only the service sets a Subscription to error: send requested to start it, off to stop it."


def after(stored: str, sent: str, *, anew: bool) -> str | None:
    """None where the client may not say this. anew: endpoint, channel or headers changed, so hands are shaken again."""
    status = LAW.get((stored, sent))
    return "requested" if anew and status == "active" else status
