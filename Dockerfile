# One image for every component; docker-compose.yml says which one a container runs.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /orrery

# The dependencies change seldom: a layer of their own, kept while only our code changes.
COPY pyproject.toml constraints.txt README.md ./
RUN mkdir -p services && touch services/__init__.py \
    && pip install --no-cache-dir --constraint constraints.txt --config-settings editable_mode=compat --editable . \
    && rm -r services

COPY config config
COPY services services
RUN python -m compileall -q services \
    && useradd --system --home-dir /orrery --uid 990 orrery \
    && mkdir /data /keys && chown orrery /data /keys

USER orrery
VOLUME /data
ENTRYPOINT ["python", "-m"]
CMD ["services.launcher", "--help"]
