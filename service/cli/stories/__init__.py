"""`enlace demo --story NAME`: four people's stories, played step by step against the running service.

facts/california.md C.8 stories 1 to 4. A story goes through the outside interfaces only: the plan's member file, FHIR
over HTTP with a token of each party, ADT over MLLP. What it says was observed; what does not come fails the story.
"""

NAMES = ("sonja", "felix", "albert", "susan")
