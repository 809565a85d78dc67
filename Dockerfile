# A small image of the proxy: built in a Rust image, run as an unprivileged user in a slim one.
FROM rust:1-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies first, so that a change of the sources does not build them again.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --locked --release && rm -rf src
COPY src ./src
RUN touch src/lib.rs src/main.rs && cargo build --locked --release --bin sealwire

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sealwire
COPY --from=build /src/target/release/sealwire /usr/local/bin/sealwire
USER 10001
EXPOSE 3307
# Healthy when the port takes connections.
HEALTHCHECK --interval=5s --timeout=3s --retries=12 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/3307"]
ENTRYPOINT ["sealwire"]
CMD ["run", "-c", "/etc/sealwire/sealwire.yaml"]
