"""Pure functions between outside formats and FHIR: no I/O, no clock (architecture.md)."""
