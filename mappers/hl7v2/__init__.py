"""HL7 v2 edge: ER7 bytes -> Message -> AdtEvent -> FHIR parts, and acknowledgements (HL7 v2.5.1 chapters 2, 3)."""
