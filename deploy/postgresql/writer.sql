-- A role for the service that can write the audit and never change it. As the database's owner, after `enlace migrate`:
--   CREATE ROLE enlace_writer LOGIN PASSWORD '...';      (once)
--   psql "$OWNER_URL" --single-transaction -v ON_ERROR_STOP=1 -f deploy/postgresql/writer.sql
-- and again after each migration. The service then runs with the writer's URL; `enlace migrate` and `enlace restore`
-- with the owner's. Who owns the database can change everything: that is what the receipts are for (docs/audit.md).
GRANT USAGE ON SCHEMA public TO enlace_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO enlace_writer;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO enlace_writer;
REVOKE UPDATE, DELETE, TRUNCATE ON audit, audit_patient, audit_seal FROM enlace_writer;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON alembic_version FROM enlace_writer;
-- Row-level security is for the reader role; the writer passes it as the owner does.
DROP POLICY IF EXISTS enlace_writer ON resource;
CREATE POLICY enlace_writer ON resource TO enlace_writer USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS enlace_writer ON version;
CREATE POLICY enlace_writer ON version TO enlace_writer USING (true) WITH CHECK (true);
