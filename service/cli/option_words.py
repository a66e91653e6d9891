"""Refusals of the FHIR API in the words of the command line: the options that a person typed, not the parameters."""

import re
from collections.abc import Mapping


def in_options(sentence: str, options: Mapping[str, str]) -> str:
    """options: FHIR parameter -> option. `Parameter 'near' takes ...` is `--near takes ...`."""
    for name, option in options.items():
        sentence = re.sub(rf"(?:Parameter )?'{re.escape(name)}'|\b{re.escape(name)}\b(?=[ .,:])", option, sentence)
    return sentence
