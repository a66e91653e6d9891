"""layout.py: packs as data, overlays, and packs that agree with what the code knows."""

import dataclasses
import json

import pytest

from fhir_profiles.models import explain
from mappers.plan_files import layout
from mappers.plan_files.member_resources import EPISODE_STATUS
from mappers.plan_files.member_row import MemberRow
from mappers.plan_files.table import read_rows
from tests.mappers.plan_files.made_up import BASE, GOLDEN

PLANS = [None, *layout.plans("member-information")]
CODE_SYSTEMS = GOLDEN.parents[3] / "fhir_profiles" / "code_systems"


def test_two_plans_have_packs_and_an_unknown_plan_uses_the_base() -> None:
    assert layout.plans("member-information") == ["golden-poppy", "sierra-valley"]
    assert layout.load("member-information", "nobody") == BASE
    assert layout.load("member-information", "../../secrets") == BASE
    with pytest.raises(KeyError):
        layout.load("no-such-kind")


def test_an_overlay_changes_only_what_it_says() -> None:
    poppy = layout.load("member-information", "golden-poppy")
    assert (poppy.delimiter, poppy.date_formats) == ("|", ("YYYY-MM-DD",))
    assert [c.name for c in poppy.columns[:2]] == ["plan_member_id", "cin"]
    assert poppy.by_name["cin"].headers == ("MEDI_CAL_ID",) and poppy.by_name["cin"].type == "cin"
    assert "mrn" not in poppy.by_name and poppy.by_name["pcp_npi"] == BASE.by_name["pcp_npi"]


def test_headers_are_compared_by_letters_and_digits() -> None:
    assert BASE.column_for(" member_cin ") == BASE.by_name["cin"]
    assert BASE.column_for("Client  Index-Number") == BASE.by_name["cin"]
    assert BASE.column_for("Shoe Size") is None


def test_a_finding_names_the_header_of_the_file_and_ours() -> None:
    pack = {"id": "x", "version": "1", "columns": [{"field": "cin", "headers": ["MEDICAL_NO"]}]}
    found = layout.from_pack("member-information", json.dumps(pack).encode())
    assert (found.by_name["cin"].told("MEDICAL_NO"), found.delimiter) == ("MEDICAL_NO (Member CIN)", BASE.delimiter)
    assert found.by_name["birth_date"].told("DOB") == "DOB (Date of Birth)"
    assert found.by_name["birth_date"].told("date_of_birth") == "date_of_birth", "the same name by its letters"
    heads = ["DOB" if c.name == "birth_date" else c.headers[0] for c in found.columns]
    [row] = read_rows(f"{','.join(heads)}\n1{',2' * (len(heads) - 1)}\n".encode(), "x.csv", found)
    assert row.header("birth_date") == "DOB (Date of Birth)"


@pytest.mark.parametrize(
    "text", [b"", b"[1]", b"{}x", b'{"omit": ["shoe"]}', b'{"columns": [{"field": "shoe"}]}', b'{"columns": 3}']
)
def test_a_pack_that_is_none_is_a_sentence(text: bytes) -> None:
    with pytest.raises(layout.BadPack, match=r"^The layout pack .*\.$"):
        layout.from_pack("member-information", text)


@pytest.mark.parametrize("plan", PLANS)
def test_every_field_of_a_pack_is_a_field_of_the_member(plan: str | None) -> None:
    fields = {field.name for field in dataclasses.fields(MemberRow)}
    names = {c.name for c in layout.load("member-information", plan).columns}
    assert {n for n in names if not n.startswith("pof_")} <= fields
    needed = {f.name for f in dataclasses.fields(MemberRow) if f.default is dataclasses.MISSING}
    assert needed <= {c.name for c in layout.load("member-information", plan).columns if c.required}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("field", "system"),
    [("ecm_status", "ecm-engagement-status"), ("discontinuation_reason", "ecm-discontinuation-reason"),
     ("pofs", "ecm-pof")],
)  # fmt: skip
def test_packs_map_to_all_codes_of_the_code_system_and_to_no_other(plan: str | None, field: str, system: str) -> None:
    known = {c["code"] for c in json.loads((CODE_SYSTEMS / f"{system}.json").read_text())["concept"]}
    pack = layout.load("member-information", plan)
    if field in pack.by_name:
        assert set(pack.by_name[field].codes.values()) == known
    else:
        assert {f"pof_{code}" for code in known} <= set(pack.by_name)
    if field == "ecm_status":
        assert set(EPISODE_STATUS) == known


def test_code_systems_and_value_sets_are_drafts_under_our_base() -> None:
    for folder, kind in (("code_systems", "CodeSystem"), ("value_sets", "ValueSet")):
        files = sorted((CODE_SYSTEMS.parent / folder).glob("*.json"))
        ours = [
            r for r in (json.loads(f.read_text()) for f in files) if r["url"].startswith("https://enlace.example.org")
        ]
        assert len(ours) >= 19
        for resource in ours:
            assert explain(resource, kind) == []
            assert resource["url"] == f"https://enlace.example.org/fhir/{kind}/{resource['id']}"
            assert (resource["status"], resource["experimental"]) == ("draft", True)
