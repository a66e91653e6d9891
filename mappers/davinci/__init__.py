"""Da Vinci notifications: a message Bundle of FHIR -> the same AdtEvent as an HL7 v2 message gives."""
