"""The consent engine: Consents become rules when they are written (compile.py), rules decide when data is asked for."""
