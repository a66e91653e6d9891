"""Patches of a resource: JSON Patch, merge patch and FHIRPath Patch, as pure functions. https://hl7.org/fhir/R4/http.html#patch"""
