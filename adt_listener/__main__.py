"""The ADT listener as a process of its own: `enlace adt-listener`, `python -m adt_listener`."""

from adt_listener.process import main

if __name__ == "__main__":
    raise SystemExit(main())
