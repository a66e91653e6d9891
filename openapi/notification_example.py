"""An admission as a Da Vinci notification, of made-up people: the example of `$process-message`."""

from typing import Any

NOTIFICATION: dict[str, Any] = {
    "resourceType": "Bundle",
    "id": "4f7c1a60-2a0c-4a53-8a5e-1f1f1f1f1f01",
    "type": "message",
    "timestamp": "2026-03-07T22:05:00-08:00",
    "entry": [
        {
            "fullUrl": "urn:uuid:4f7c1a60-2a0c-4a53-8a5e-1f1f1f1f1f02",
            "resource": {
                "resourceType": "MessageHeader",
                "id": "4f7c1a60-2a0c-4a53-8a5e-1f1f1f1f1f02",
                "eventCoding": {
                    "system": "http://hl7.org/fhir/us/davinci-alerts/CodeSystem/notification-event",
                    "code": "notification-admit",
                },
                "source": {"name": "Mercy Made-up", "endpoint": "https://fhir.mercy.example.org/notify"},
                "sender": {"reference": "Organization/o"},
                "focus": [{"reference": "Encounter/e"}],
            },
        },
        {
            "fullUrl": "https://fhir.mercy.example.org/Encounter/e",
            "resource": {
                "resourceType": "Encounter",
                "id": "e",
                "identifier": [{"system": "https://mercy.example.org/visits", "value": "V-1001"}],
                "status": "in-progress",
                "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
                "type": [{"text": "Inpatient stay"}],
                "subject": {"reference": "Patient/p"},
                "period": {"start": "2026-03-07T22:00:00-08:00"},
                "diagnosis": [{"condition": {"reference": "Condition/c"}, "rank": 1}],
                "location": [{"location": {"reference": "Location/l"}, "status": "active"}],
                "serviceProvider": {"reference": "Organization/o"},
            },
        },
        {
            "fullUrl": "https://fhir.mercy.example.org/Patient/p",
            "resource": {
                "resourceType": "Patient",
                "id": "p",
                "identifier": [
                    {
                        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
                        "system": "https://mercy.example.org/patients",
                        "value": "M-4711",
                    }
                ],
                "name": [{"use": "official", "family": "Quillfeather", "given": ["Rosalind"]}],
                "telecom": [{"system": "phone", "value": "(555) 555-0142", "use": "home"}],
                "gender": "female",
                "birthDate": "1980-05-17",
            },
        },
        {
            "fullUrl": "https://fhir.mercy.example.org/Organization/o",
            "resource": {
                "resourceType": "Organization",
                "id": "o",
                "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}],
                "name": "Mercy Made-up",
            },
        },
        {
            "fullUrl": "https://fhir.mercy.example.org/Location/l",
            "resource": {"resourceType": "Location", "id": "l", "name": "4 West", "status": "active"},
        },
        {
            "fullUrl": "https://fhir.mercy.example.org/Condition/c",
            "resource": {
                "resourceType": "Condition",
                "id": "c",
                "code": {
                    "coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "R07.9"}],
                    "text": "Chest pain",
                },
                "subject": {"reference": "Patient/p"},
                "encounter": {"reference": "Encounter/e"},
            },
        },
        {
            "fullUrl": "https://fhir.mercy.example.org/Coverage/v",
            "resource": {
                "resourceType": "Coverage",
                "id": "v",
                "status": "active",
                "subscriberId": "91000001A",
                "beneficiary": {"reference": "Patient/p"},
                "payor": [{"display": "Made-up plan"}],
            },
        },
    ],
}
