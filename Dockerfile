# The API as a plain server, with the two tick programs beside it. docker-compose.yml runs all three; for a deployment on
# Lambda no image is needed. It was written where there is no Docker engine: it has not been built yet.
#
#   docker build --tag ojs-serverless .
#   docker run --publish 8080:8080 --env-file .env ojs-serverless

# Rust as in the development environment; Cargo.toml says what is needed at least. Debian 12 in both stages, so that the
# programs find the libc they were linked with.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay in the builder, so that a change of ours does not compile the AWS SDK again. They are no part of any
# layer, hence the copy.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release -p ojs-api-main -p ojs-scheduler -p ojs-cron \
    && mkdir /programs \
    && cp target/release/api target/release/scheduler target/release/cron /programs/

# Not distroless: the health check and the ticker are a few lines of bash.
FROM debian:bookworm-slim
# The certificates of those who sign AWS's.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /programs/ /usr/local/bin/
COPY --chmod=755 tools/docker/healthy.sh tools/docker/ticker.sh /usr/local/bin/
# Nobody in particular, and not root. Nothing is written to disk.
USER 65532:65532
ENV OJS_HOST=0.0.0.0 OJS_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["healthy.sh"]
CMD ["api"]
