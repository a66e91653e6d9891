"""One file per FHIR RESTful interaction, by FHIR's own names: each reads, decides and returns a Decision."""
