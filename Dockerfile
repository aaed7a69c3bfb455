# Mailmill in one image; docker-compose.yml runs it once per process, `docker run` the whole stack
# with SQLite and an embedded Valkey in the volume.
FROM python:3.11-slim AS packages
COPY requirements/base.txt requirements/accelerate.txt /tmp/
RUN python -m venv /opt/mailmill \
    && /opt/mailmill/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/base.txt
# Where the image will run is not known: the library asks the processor. It is 2 of the package's 45 MB.
ARG ACCELERATE=yes
RUN if [ "$ACCELERATE" != no ] && [ "$(uname -m)" = x86_64 ]; then \
        /opt/mailmill/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/accelerate.txt \
        && rm -f /opt/mailmill/lib/libippcp.so*; \
    fi

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/mailmill --create-home mailmill
COPY --from=packages /opt/mailmill /opt/mailmill
WORKDIR /srv/mailmill
COPY manage.py ./
COPY mta mta
COPY tasks tasks
COPY dashboard dashboard
# Compiled once here: the user below cannot write beside the code.
RUN /opt/mailmill/bin/python -m compileall -q mta tasks dashboard

ENV PATH=/opt/mailmill/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MAILMILL_DATA_DIR=/var/lib/mailmill \
    MAILMILL_HTTP_BIND=0.0.0.0:8000 \
    MAILMILL_RELAY_BIND=0.0.0.0:2525 \
    MAILMILL_SUBMISSION_BIND=0.0.0.0:2587 \
    MAILMILL_SMTPS_BIND=0.0.0.0:2465
USER mailmill
VOLUME /var/lib/mailmill
EXPOSE 8000 2525 2587 2465
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=2s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# The supervisor reaps orphans and passes signals on itself, so no init stands before it.
CMD ["python", "manage.py", "up"]
