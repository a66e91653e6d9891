"""`enlace access explain` prints the steps, and says plainly what it cannot explain."""

import json

from tests.service.cli.conftest import *  # noqa: F403
