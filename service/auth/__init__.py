"""WHO is calling: registered clients, their assertions, opaque access tokens and scopes (SMART Backend Services)."""
