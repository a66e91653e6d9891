"""The OpenAPI document of the FHIR base, generated from the CapabilityStatement."""
