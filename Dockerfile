# Endplate for trying out: `docker compose up`. Two stages, so that the compiler that durable-rules needs stays behind.
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/endplate
ENV PATH=/opt/endplate/bin:$PATH
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE NOTICE ./
COPY engine engine
COPY rulesets rulesets
RUN pip install --no-cache-dir --constraint requirements.lock '.[durable]'

FROM python:3.12-slim
COPY --from=build /opt/endplate /opt/endplate
ENV PATH=/opt/endplate/bin:$PATH ENDPLATE_CACHE=/var/cache/endplate PYTHONUNBUFFERED=1
RUN useradd --system --no-create-home endplate \
    && endplate rules check \
    && chown -R endplate /var/cache/endplate
USER endplate
WORKDIR /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["endplate"]
CMD ["serve", "--dev", "--port", "8080"]
