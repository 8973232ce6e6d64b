# Endplate: `docker compose up`, docs/deployment.md. Two stages, so that the compiler that durable-rules needs stays behind.
FROM python:3.12.12-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/endplate
ENV PATH=/opt/endplate/bin:$PATH
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE NOTICE ./
COPY engine engine
COPY rulesets rulesets
COPY fhir_examples fhir_examples
RUN pip install --no-cache-dir --constraint requirements.lock '.[durable,postgresql]'

FROM python:3.12.12-slim-bookworm
COPY --from=build /opt/endplate /opt/endplate
ENV PATH=/opt/endplate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    ENDPLATE_CACHE=/var/cache/endplate ENDPLATE_DATA=/var/lib/endplate
RUN useradd --system --uid 10001 --no-create-home endplate && mkdir --mode 700 /var/lib/endplate
RUN endplate rules check
RUN chown -R endplate /var/cache/endplate /var/lib/endplate
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["endplate"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
