"""A Consent as rules: https://hl7.org/fhir/R4/consent.html -> rows of table `clearance`, when it is written. Pure.

The root provision is depth 0, those nested in it its exceptions, down to depth 4; each of its own `type`, so that a
permit within a permit widens it (IHE PCF). An exception inherits the actors and purposes that it does not name and lies
within the period of its parent. A direct exception of the root stands by itself otherwise; one that lies deeper is
about what its parent is about. It is at least as specific as its parent: a deny within never weakens one above it.
How rules decide among each other: service/search/clearance.py.

- A permit only opens. What a root permit leaves out is denied for labelled data, since that is denied anyway; it takes
  nothing away from those who have the data without label by law. What restricts is a deny.
- A permit that names no label speaks of GENERAL alone: it opens no label. A deny that names none speaks of all data;
  that of an authorization form (ASCMI) of all labels, since the rest needs no authorization.
- `rejected`: the refusal is kept and denies every label to whom the root names; `active` but not verified only denies.
- What cannot be interpreted permits nothing, keeps its denies, and denies every label to all but the author.
- What opens data to who wrote it, and shows no signed form, permits nothing and keeps its denies (evidence.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from fhir_profiles import Resource
from service.access.consent.evidence import UNSIGNED, self_serving
from service.access.consent.provisions import Frame, Problems, Source, frame
from service.access.consent.rules import GENERAL, SENSITIVE, Rule
from service.search import dates
from service.search.clearance import DataKind, Specificity, grade
from service.search.purposes import includes
from service.search.references import normal_reference

SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
NOT_ABOUT_SHARING = frozenset({"adr", "research", "treatment"})
WITHOUT_RULES = frozenset({"draft", "proposed", "inactive", "entered-in-error"})
MAX_DEPTH = 5
MAX_RULES = 500
ALWAYS: dates.Range = (dates.MIN_US, dates.MAX_US)
RELEASES = ("https://enlace.example.org/fhir/policy/ascmi",)
"""Policies whose forms only release what needs a release: a refusal on one restricts nothing else."""


@dataclass(frozen=True)
class Compiled:
    """problems: why it cannot be interpreted, sentences without any value of the Consent; or that it is unsigned.

    until: when it ends, in microseconds.
    """

    rules: tuple[Rule, ...] = ()
    problems: tuple[str, ...] = ()
    until: int = dates.MIN_US


@dataclass(frozen=True)
class _Node:
    frame: Frame
    denies: bool
    depth: int
    specificity: int


def compiled(consent: Resource, source: Source) -> Compiled:
    """Total: whatever makes no sense is a problem, never an exception."""
    patient = _patient(consent, source)
    if patient is None:
        return Compiled()
    problems: Problems = []
    try:
        if consent.get("status") in WITHOUT_RULES or _scope(consent) in NOT_ABOUT_SHARING:
            return Compiled()
        period, nodes = _nodes(consent, source, problems)
    except Exception:  # a Consent that cannot be read is one that cannot be interpreted
        period, nodes, problems = ALWAYS, [], ["Consent: it is not built as R4 says."]
    release = _is_release(consent)
    rows = _merged(row for node in nodes for row in islice(_rows(node, release=release), MAX_RULES + 1))
    if len(rows) > MAX_RULES:
        problems.append(f"Consent.provision: it makes more than {MAX_RULES} rules. Divide it into several Consents.")
    if problems:
        rows = [row for row in rows if row["grade"] & 1][:MAX_RULES]
        # Deeper than any exception: else a deny within would stand for the Consent, and it weighs less.
        rows.append(_row(period, SENSITIVE, grade(MAX_DEPTH, Specificity.UNREADABLE, denies=True)))
    until = max((row["end_us"] for row in rows), default=dates.MIN_US)
    if not problems and self_serving(consent, rows, source):
        problems, rows = [UNSIGNED], [row for row in rows if row["grade"] & 1]
    key = source.keys.resource(f"Consent/{consent.get('id', '')}")
    rules = (Rule(patient=patient, consent=key, number=number, **row) for number, row in enumerate(rows))
    return Compiled(tuple(rules), tuple(problems), until)


def _patient(consent: Resource, source: Source) -> int | None:
    value = consent.get("patient")
    written = value.get("reference") if isinstance(value, dict) else None
    reference = normal_reference(written, source.base_url) if isinstance(written, str) else None
    return source.keys.resource(reference) if reference else None


def _scope(consent: Resource) -> str:
    return next((one["code"] for one in consent["scope"]["coding"] if one.get("system") == SCOPE), "")


def _is_release(consent: Resource) -> bool:
    policies = consent.get("policy")
    uris = [one.get("uri") for one in policies if isinstance(one, dict)] if isinstance(policies, list) else []
    return any(isinstance(uri, str) and uri.startswith(RELEASES) for uri in uris)


# --- the tree ------------------------------------------------------------------------------------------------------


def _nodes(consent: Resource, source: Source, problems: Problems) -> tuple[dates.Range, list[_Node]]:
    """When the Consent is in force; the root and its exceptions, flat."""
    status = consent.get("status")
    if status not in ("active", "rejected"):
        problems.append("Consent.status: it is none that R4 knows.")
    if _scope(consent) != "patient-privacy":
        problems.append("Consent.scope: only patient-privacy is enforced here.")
    for element in ("modifierExtension", "implicitRules"):
        if consent.get(element):
            problems.append(f"Consent.{element}: what it changes is not known here.")
    root = consent.get("provision")
    if not root:
        return ALWAYS, [_refused(Frame())] if status == "rejected" else []
    found = list(_tree(root, "Consent.provision", None, source, problems))
    period = found[0].frame.period
    if status == "rejected":
        return period, [_refused(found[0].frame)]
    if any(one.get("verified") is False for one in consent.get("verification") or ()):
        found = [node for node in found if node.denies]
    return period, found


def _refused(asked: Frame) -> _Node:
    """What was asked for and refused: denied, whatever the form would have permitted."""
    asked = replace(asked, labels=SENSITIVE, rtypes=None, data=None, shares=True)
    return _Node(asked, True, 0, max(Specificity.DATA, _specificity(asked)))


def _tree(provision: Resource, path: str, parent: _Node | None, source: Source, problems: Problems) -> Iterator[_Node]:
    own = frame(provision, path, source, problems)
    kind = provision.get("type")
    if kind not in ("permit", "deny") and (kind is not None or parent is not None):
        problems.append(f"{path}.type: an exception must say permit or deny.")
    depth = parent.depth + 1 if parent else 0
    if depth >= MAX_DEPTH:
        problems.append(f"{path}: exceptions lie deeper than {MAX_DEPTH} levels.")
        return
    whole = _inherited(own, parent, path, problems) if parent else own
    specificity = max(_specificity(whole), parent.specificity if parent else 0)
    node = _Node(whole, kind == "deny", depth, specificity)
    if kind is not None and whole.shares:
        yield node
    elif parent is None:  # no rule of its own, but its period is that of the Consent
        yield replace(node, frame=replace(whole, labels=0))
    if not whole.shares and provision.get("provision"):
        problems.append(f"{path}.action: exceptions to a rule that is not about sharing are not enforced here.")
    below = [(one, f"{path}.provision[{number}]") for number, one in enumerate(provision.get("provision") or ())]
    nested = [list(_tree(one, place, node, source, problems)) for one, place in below]
    _check_apart(nested, path, problems)
    for part in nested:
        yield from part


def _check_apart(nested: Sequence[list[_Node]], path: str, problems: Problems) -> None:
    """Exceptions of exceptions are counted by depth alone, so one that has such must be about other data than its
    neighbours: else the deeper permit of one would win over the deny of another."""
    for number, part in enumerate(nested):
        others = [node for other, nodes in enumerate(nested) if other != number for node in nodes]
        if len(part) > 1 and any(_overlap(one, two) for one in part for two in others):
            problems.append(f"{path}.provision[{number}]: it has exceptions, and speaks of what its neighbours do.")


def _overlap(one: _Node, two: _Node) -> bool:
    types = one.frame.rtypes is None or two.frame.rtypes is None or set(one.frame.rtypes) & set(two.frame.rtypes)
    return bool(types and _bits(one, release=False) & _bits(two, release=False))


def _inherited(own: Frame, parent: _Node, path: str, problems: Problems) -> Frame:
    above = parent.frame
    start, end = max(own.period[0], above.period[0]), min(own.period[1], above.period[1])
    whole = replace(
        own,
        period=(start, end),
        actors=above.actors if own.actors is None else own.actors,
        purposes=above.purposes if own.purposes is None else own.purposes,
    )
    if parent.depth == 0:
        return whole
    if own.actors is not None and above.actors is not None and not set(own.actors) <= set(above.actors):
        problems.append(f"{path}.actor: an exception of an exception names only whom that one names.")
    if not _narrower(own.purposes, above.purposes):
        problems.append(f"{path}.purpose: an exception of an exception names only what lies within its purposes.")
    if own.data is not None and above.data is not None and set(own.data) != set(above.data):
        problems.append(f"{path}.data: an exception of an exception names only what that one names.")
    return replace(
        whole,
        labels=above.labels if own.labels is None else own.labels & _bits(parent, release=False),
        rtypes=_both(own.rtypes, above.rtypes),
        data=above.data if own.data is None else own.data,
    )


def _narrower(own: tuple[str, ...] | None, above: tuple[str, ...] | None) -> bool:
    return own is None or above is None or all(any(includes(wider, one) for wider in above) for one in own)


def _both(own: tuple[str, ...] | None, above: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if own is None or above is None:
        return above if own is None else own
    return tuple(one for one in own if one in above)


def _specificity(whole: Frame) -> int:
    if whole.actors is not None:
        return Specificity.RECIPIENT
    if whole.labels is not None or whole.rtypes is not None or whole.data is not None:
        return Specificity.DATA
    return Specificity.PURPOSE if whole.purposes is not None else Specificity.ANY


# --- rows ----------------------------------------------------------------------------------------------------------


def _bits(node: _Node, *, release: bool) -> int:
    if node.frame.labels is not None:
        return node.frame.labels
    if not node.denies:
        return GENERAL
    return SENSITIVE if release else GENERAL | SENSITIVE


def _rows(node: _Node, *, release: bool) -> Iterator[dict[str, Any]]:
    """A row for each of actors x purposes x types x data; none where the frame holds nothing."""
    whole, labels = node.frame, _bits(node, release=release)
    if not labels or whole.period[0] >= whole.period[1]:
        return
    weight = grade(node.depth, node.specificity, denies=node.denies)
    for actor in ((0, 0),) if whole.actors is None else whole.actors:
        for purpose in ("",) if whole.purposes is None else whole.purposes:
            for rtype in ("",) if whole.rtypes is None else whole.rtypes:
                for data in ((int(DataKind.ANY), 0),) if whole.data is None else whole.data:
                    yield _row(whole.period, labels, weight, actor, purpose, rtype, data)


def _row(
    period: dates.Range,
    labels: int,
    weight: int,
    actor: tuple[int, int] = (0, 0),
    purpose: str = "",
    rtype: str = "",
    data: tuple[int, int] = (0, 0),
) -> dict[str, Any]:
    return {
        "actor": actor[0],
        "also": actor[1],
        "purpose": purpose,
        "labels": labels,
        "rtype": rtype,
        "data_kind": data[0],
        "data": data[1],
        "grade": weight,
        "start_us": period[0],
        "end_us": period[1],
    }


def _merged(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that differ in their labels only, as one."""
    labels: dict[tuple[Any, ...], int] = {}
    for row in rows:
        name = tuple((column, value) for column, value in row.items() if column != "labels")
        labels[name] = labels.get(name, 0) | row["labels"]
    return [{**dict(name), "labels": bits} for name, bits in labels.items()]
