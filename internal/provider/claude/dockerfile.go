package claude

// dockerfile is what a bottle is made of on a backend that has images: the harness and what it
// calls, on any Debian image with node and npm.
const dockerfile = `ARG BASE=node:22-slim
FROM ${BASE}
ARG VERSION=2.1.330
RUN apt-get update -qq \
 && apt-get install -qq --no-install-recommends bash ca-certificates curl git procps ripgrep >/dev/null \
 && rm -rf /var/lib/apt/lists/*
RUN npm install --global --no-audit --no-fund --loglevel=error "@anthropic-ai/claude-code@${VERSION}" \
 && npm cache clean --force >/dev/null 2>&1
`
