# One image for every process of Enlace: API and pages, worker, ADT listener, migration (compose.yaml shows them).
# The first stage builds a virtual environment; the second one holds that and nothing else: no pip, no sources, no lock.
FROM python:3.11-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /src
RUN python -m venv /opt/enlace

COPY requirements.lock ./
RUN /opt/enlace/bin/pip install --require-hashes -r requirements.lock

COPY . .
RUN /opt/enlace/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/enlace/bin/pip install --no-deps /tmp/wheel/*.whl \
    && /opt/enlace/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="Enlace" \
      org.opencontainers.image.description="FHIR R4 service for CalAIM Enhanced Care Management" \
      org.opencontainers.image.documentation="docs/settings.md"

RUN groupadd --system --gid 10001 enlace \
    && useradd --system --uid 10001 --gid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin enlace \
    && install -d -o enlace -g enlace -m 0700 /app/var
COPY --from=build /opt/enlace /opt/enlace

# The root file system may be read-only: only /app/var (keys of a sandbox, SQLite, backups) and /tmp are written.
ENV PATH=/opt/enlace/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ENLACE_HTTP_HOST=0.0.0.0 ENLACE_MLLP_HOST=0.0.0.0
WORKDIR /app
VOLUME ["/app/var"]
USER 10001:10001
EXPOSE 8000 2575
STOPSIGNAL SIGTERM
# ENLACE_HEALTH_PORT in worker and listener, ENLACE_HTTP_PORT in the API.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["enlace", "health"]
CMD ["enlace", "serve", "--all"]
