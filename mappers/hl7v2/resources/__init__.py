"""One module per FHIR resource that an ADT message fills (v2-to-FHIR 1.0.0 segment maps; deviations are commented)."""
