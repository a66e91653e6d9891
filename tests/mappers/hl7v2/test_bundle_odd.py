"""Odd values in any field of any message: the bundle is made, and what it holds is valid R4. Never an exception."""

from __future__ import annotations

import os
import random
from pathlib import Path

from fhir_profiles.validate import validate
from mappers.hl7v2.adt import to_events
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.source import SourceConfig
from mappers.hl7v2.to_fhir import bundle
from tests.mappers.hl7v2.whole_message import WHOLE

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "hl7v2").glob("*.hl7"))
ROUNDS = 6_000 if os.environ.get("ENLACE_TEST_DEEP") else 60
ODD = (
    "", '""', " ", "  x  ", "^", "~", "^^^", "&", "~~", "a~b~c", "^^^&&", "\\X0A\\", "\\.br\\", "\\", "0", "-1", "1e9",
    "00000000", "19000101", "2026", "202603", "20260303", "2026030312", "202603031260", "20260303141000.12345-0800",
    "20261101013000", "20260308023000", "99991231235959", "00010101", "10000101", "20260303+9999", "0800", "2400",
    "03/03/2026 14:10:00", "2026-03-03T14:10:00Z", "Zoë", "李^明", "<script>alert(1)</script>", "=1+1", "x" * 4000,
    "A B^C D^E F", "a\tb", "NM", "Y", "N", "U", "D", "DE", "12345678901234567890", "1.5", "+3", "<^5", ">^1^-^2", "٣",
    "urn:oid:1.2.3", "^^^a b&http://x y&URI", "^^^&1.2.3&ISO", "^^^&not an oid&ISO", "1^^^X^SS", "91234567A", "&&&^~",
    "QQ^Words^ZZZ9", "1^2^3^4^5^6^7^8^9^10^11^12^13^14^15^16^17", "1234567893^Weber^Ilse^^^^^^NPI", "^Weber", "E",
    "NR", "SN", "TM", "2^1", "5^10", "^5^-^1",
)  # fmt: skip


def _mutated(text: str, dice: random.Random) -> str:
    lines = text.replace("\n", "\r").strip("\r").split("\r")
    for _ in range(dice.randint(1, 12)):
        at = dice.randrange(len(lines))
        fields = lines[at].split("|")
        if len(fields) < 2 or fields[0] == "MSH":
            continue
        number = dice.randrange(1, max(2, min(len(fields) + 3, 54)))
        fields += [""] * (number + 1 - len(fields))
        fields[number] = dice.choice(ODD)
        lines[at] = "|".join(fields)
    if dice.random() < 0.2:
        lines.append(dice.choice(lines[1:]))
    if dice.random() < 0.2:
        del lines[dice.randrange(1, len(lines))]
    return "\r".join(lines)


def test_odd_values_make_valid_bundles() -> None:
    texts = [WHOLE] * 20 + [path.read_bytes().decode() for path in GOLDEN]
    source = SourceConfig("valley", facility="Organization/valley")
    for seed in range(ROUNDS):
        dice = random.Random(seed)
        text = _mutated(dice.choice(texts), dice)
        message = parse(text.encode())
        assert isinstance(message, Message)
        events, _ = to_events(message, source, 1_772_568_000_000_000)
        if not events:
            continue
        made, findings = bundle(message, events, source)
        for one in (made, *(entry["resource"] for entry in made["entry"])):
            problems = validate(one, one["resourceType"])
            assert problems == [], f"seed {seed}: {one['resourceType']}: {problems[:2]}"
        assert len({f.code + f.location for f in findings}) <= len(findings)
