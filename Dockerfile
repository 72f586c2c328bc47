# sne-deploy with Lava, as one command:
#     docker build -t sne-deploy .
#     docker run --rm -v "$PWD:/data" sne-deploy compile model.pt --data x.npz --out out
FROM python:3.13-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY sne_deploy ./sne_deploy
COPY backends ./backends
# torch from the index of its CPU builds; Norse comes as source; Lava's metadata forbids what it works with.
RUN python -m venv /opt/sne \
    && /opt/sne/bin/pip install --no-cache-dir -c constraints.txt setuptools setuptools-scm wheel \
    && /opt/sne/bin/pip install --no-cache-dir -c constraints.txt \
        --extra-index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && /opt/sne/bin/pip install --no-cache-dir -c constraints.txt --no-build-isolation ".[netx,cluster]" \
    && /opt/sne/bin/pip install --no-cache-dir -c constraints.txt --no-deps --ignore-requires-python lava-nc lava-dl

FROM python:3.13-slim-bookworm
COPY --from=build /opt/sne /opt/sne
RUN useradd --create-home --uid 1000 sne
USER 1000
WORKDIR /data
ENTRYPOINT ["/opt/sne/bin/sne"]
CMD ["--help"]
