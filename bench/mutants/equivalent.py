"""Mutants that no test can kill, and why: per module, place of the mutant -> reason."""

EQUIVALENT: dict[str, dict[str, str]] = {}
