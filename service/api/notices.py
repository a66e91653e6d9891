"""/notices/part2: the statement that goes with protected data, where the Link header of an answer leads to."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fhir_profiles.notices import statement
from service.interactions.notices import NOTICE_PATH


async def _part2(_request: Request) -> Response:
    told = statement("part2")
    text = f"{told.text}\n\nSource: {told.source}.\nVersion {told.version} of this notice.\n"
    return PlainTextResponse(text, headers={"Cache-Control": "public, max-age=3600"})


routes = [Route(NOTICE_PATH, _part2, methods=["GET"])]
