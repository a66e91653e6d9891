"""`python -m service.cli`: the same as `enlace`."""

from service.cli import main

main()
