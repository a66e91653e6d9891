"""Scripts that turn official FHIR packages into the compact data beside this folder."""
