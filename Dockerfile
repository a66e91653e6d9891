# One image for every process of Enlace: API and pages, worker, ADT listener (compose.yaml shows them).
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY . .
RUN pip install --no-deps --no-build-isolation . \
    && useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin enlace \
    && install -d -o enlace -g enlace -m 0700 /app/var

USER 10001
ENV ENLACE_HTTP_HOST=0.0.0.0 ENLACE_MLLP_HOST=0.0.0.0
EXPOSE 8000 2575
VOLUME ["/app/var"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["enlace", "serve", "--all"]
