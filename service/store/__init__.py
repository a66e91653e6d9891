"""SQL only: the sole user of SQLModel and SQLAlchemy, and the only place where SQLite and PostgreSQL differ."""
