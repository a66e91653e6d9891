"""The MLLP listener: its own port, framing here, everything else in service.interactions.receive_hl7v2."""
