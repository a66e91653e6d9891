"""The ADT listener as a process of its own: `enlace adt-listener`, `python -m adt_listener`."""

import asyncio
import os

from adt_listener.process import run
from service.settings import load

if __name__ == "__main__":
    asyncio.run(run(load(os.environ)))
