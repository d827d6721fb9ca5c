# One image with three programs. A container runs one of them, by its command:
#
#   /usr/local/bin/sluice-planner      Cloud Run service; also what the image runs without a command
#   /usr/local/bin/sluice-extractor    Cloud Run Job
#   /usr/local/bin/sluice-loader       Cloud Run service
#
# `tests/delivery/build_image` builds and tries it without a daemon and without a registry of images.

FROM docker.io/library/rust:1.95-slim-bookworm AS chef
RUN cargo install --locked --version 0.1.78 cargo-chef
WORKDIR /sluice

# The list of dependencies, which changes less often than the code.
FROM chef AS recipe
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=recipe /sluice/recipe.json .
RUN cargo chef cook --recipe-path recipe.json --locked --profile dist --all-features \
    --package sluice-planner --package sluice-extractor --package sluice-loader
COPY . .
RUN cargo build --locked --profile dist --all-features \
    --package sluice-planner --package sluice-extractor --package sluice-loader

# Debian 12, as the image of the build: the programs need its glibc.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build \
    /sluice/target/dist/sluice-planner \
    /sluice/target/dist/sluice-extractor \
    /sluice/target/dist/sluice-loader \
    /usr/local/bin/
# No shell between: a program that is process 1 gets SIGTERM itself.
ENTRYPOINT ["/usr/local/bin/sluice-planner"]
