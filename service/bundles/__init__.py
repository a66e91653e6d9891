"""Bundles of type batch and transaction: many requests in one. https://hl7.org/fhir/R4/http.html#transaction"""
