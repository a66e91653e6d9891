"""Enlace: the FHIR R4 service for CalAIM Enhanced Care Management (ARCHITECTURE.md is the map)."""
