"""CalAIM behaviour in CalAIM words: pure decisions over FHIR resources and ADT events (ARCHITECTURE.md)."""
