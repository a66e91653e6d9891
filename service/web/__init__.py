"""Server-rendered pages (Jinja2, plain forms, one small script): `routes` is all that service/main.py mounts."""

from service.web.routes import routes

__all__ = ["routes"]
