"""One module per HL7 v2 segment group: Segment -> plain facts, every unmapped code reported (v2.5.1 chapter 3)."""
