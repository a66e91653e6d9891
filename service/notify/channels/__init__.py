"""The ways out: one adapter a file, one row in the table of channels.py's CHANNELS."""
