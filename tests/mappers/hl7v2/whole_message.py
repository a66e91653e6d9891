"""A made-up A01 with every field that the maps read, for tests of the bundle: nobody sends one like it."""

from __future__ import annotations

from mappers.hl7v2.adt import AdtEvent, Finding, SourceConfig, to_events
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.to_fhir import Resource, bundle

SOURCE = SourceConfig("valley", facility="Organization/valley", facility_display="Valley General Hospital")
DOCTOR = "1987654321^Okafor^Chidi^^^^^^NPI"
NURSE = "77^Silva^Rita^^^^^^VGH"


def line(name: str, **fields: str) -> str:
    """A segment from its numbered fields: `line("PV1", _2="I")`."""
    numbered = {int(key[1:]): value for key, value in fields.items()}
    return "|".join([name, *(numbered.get(n, "") for n in range(1, max(numbered, default=0) + 1))])


MSH = r"MSH|^~\&|EPIC|VGH|ENLACE|ENLACE|20260303143000||ADT^A01^ADT_A01|WHOLE-1|P|2.5.1|||AL|NE"
SEGMENTS = (
    line("EVN", _1="A01", _2="20260303143000", _3="20260305", _4="01", _5=NURSE, _6="20260303141000",
         _7="Valley General Hospital^1234567893^NPI"),
    line("PID", _1="1", _2="OLD7", _3="M1^^^VGH&2.16.840.1.113883.3.9999.1&ISO^MR~555-44-3333^^^SSA^SS", _4="ALT7",
         _5="Roe^Ann^B^Jr^Ms^^L", _6="Doe^Eve", _7="198005170330", _8="F", _9="Star^Pop",
         _10="2106-3^White~1004-1^Indian",
         _11="1 Elm St^Apt 2^Fresno^CA^93701^^H", _12="Fresno", _13="(559) 555-0123", _14="^WPN^PH^^1^559^5550188",
         _15="spa^Spanish", _16="M", _18="A1", _19="555448888", _21="MOM1^^^VGH&2.16.840.1.113883.3.9999.1&ISO^MR",
         _22="H^Hispanic", _23="Oaxaca", _24="Y", _25="2", _29="202603031420", _30="Y", _31="Y",
         _40="^PRS^CP^^1^559^5550199"),
    line("PD1", _3="Valley Family Clinic^^77", _4=DOCTOR),
    line("NK1", _1="1", _2="Roe^Lee", _3="SPO^Spouse", _4="2 Oak St^^Fresno^CA^93702", _5="(559) 555-0111",
         _6="(559) 555-0112", _7="C^Emergency Contact", _8="20200101", _9="20300101", _13="Roe Farms", _15="M",
         _16="19790102", _20="eng^English", _31="(559) 555-0113", _33="NK7^^^VGH", _40="^NET^Internet^lee@example.org",
         _41="(559) 555-0114"),
    line("PV1", _1="1", _2="I", _3="4W^401^A^VGH^^^North^4", _4="E", _5="PRE7", _6="ED^12", _7=DOCTOR,
         _8="1112223334^Ahn^Jo^^^^^^NPI", _9="1112223335^Bo^Al^^^^^^NPI", _10="MED^Medicine^HL70069", _11="RAD^1",
         _13="R^Re-admission^HL70092", _14="1", _15="A2^Wheelchair^HL70009", _16="Y^^HL70099",
         _17="1112223336^Cy^Di^^^^^^NPI", _18="OBS", _19="V1^^^VGH&2.16.840.1.113883.3.9999.1&ISO^VN", _36="03",
         _37="Sunset Nursing", _39="VGH-MAIN", _42="ICU^1", _43="OR^2", _44="20260303141000", _45="20260306101500",
         _50="ALT1^^^VGH^VN", _52="1112223337^Em^Fe^^^^^^NPI"),
    line("PV2", _3="R07.9^Chest pain^I10", _8="20260303", _9="20260306", _11="3", _12="Chest pain since morning",
         _13="1112223331^Mo^Nu^^^^^^NPI",
         _22="Y", _25="1^Emergency^HL70217", _36="Y", _38="A"),
    line("ROL", _1="ROLE1", _2="AD", _3="CP^Consulting^HL70443", _4=NURSE, _5="20260303", _6="20260304",
         _9="163W00000X^Nurse^NUCC", _12="(559) 555-0177", _14="Valley Nurses"),
    line("ROL", _2="DE", _3="RP", _4="78^Leo^Ugo^^^^^^VGH"),
    line("DG1", _1="1", _3="I50.9^Heart failure^I10", _4="Heart failure, unspecified", _5="20260303", _6="F", _15="1",
         _16=DOCTOR, _19="20260304"),
    line("DG1", _1="2", _3="E11.9^Diabetes^I10", _5="20260302", _6="A", _21="D"),
    line("DG1", _1="3", _4="Cannot be reached at night", _6="W"),
    line("PR1", _1="1", _3="93000^Electrocardiogram^C4", _4="Electrocardiogram", _5="202603031500",
         _6="D^Diagnostic^HL70230",
         _8="1112223338^Gil^Ho^^^^^^NPI", _11="1112223339^Ix^Jay^^^^^^NPI", _12="1112223330^Ko^Li^^^^^^NPI",
         _7="25", _15="I50.9^Heart failure^I10", _16="59", _19="PR-7", _20="A"),
    line("PR1", _1="2", _4="Bandage", _20="D"),
    line("OBX", _1="1", _2="NM", _3="8867-4^Heart rate^LN", _5="112", _6="/min^per minute^UCUM", _7="60-100",
         _8="H^High^HL70078", _11="F", _14="20260303142000",
         _15="LAB^Valley Laboratory", _16=NURSE, _17="M7^Monitor^L", _20="368209003^Right arm^SCT",
         _21="OBS-7", _23="Valley Lab"),
    line("AL1", _1="1", _2="DA", _3="7980^Penicillin^RXNORM", _4="SV", _5="Hives", _6="20010101"),
    line("IAM", _1="1", _2="FA^Food^HL70127", _3="256349002^Peanut^SCT", _4="MI", _5="Rash", _6="D", _11="20020202"),
    line("IN1", _1="1", _2="MCAL^Medi-Cal Plan", _3="P7^^^PLANS", _4="Sunrise Health Plan", _8="G7", _9="Group Seven",
         _12="20260101", _13="20261231", _15="HMO^Managed^L", _16="Roe^Ann", _17="SEL", _36="91234567A", _49="S777"),
    line("IN1", _1="2", _2="COM", _4="Other Payer", _16="Roe^Lee", _17="SPO", _36="POL-9"),
    line("ACC", _1="202603031300", _2="AUT^Automobile^HL70050", _3="Main St", _4="CA"),
)  # fmt: skip
WHOLE = "\r".join((MSH, *SEGMENTS)) + "\r"


def read(text: str = WHOLE, source: SourceConfig = SOURCE) -> tuple[Message, tuple[AdtEvent, ...], list[Finding]]:
    message = parse(text.encode())
    assert isinstance(message, Message)
    events, findings = to_events(message, source)
    assert events
    return message, events, findings


def bundled(text: str = WHOLE, source: SourceConfig = SOURCE) -> tuple[Resource, list[Finding]]:
    message, events, _ = read(text, source)
    return bundle(message, events, source)


def resources(made: Resource, kind: str) -> list[Resource]:
    return [e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == kind]
