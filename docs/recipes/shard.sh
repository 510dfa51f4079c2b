#!/bin/sh
# One shard of a campaign, for any CI that gives its parallel jobs a number from 1 (GitLab's
# `parallel: 16` sets CI_NODE_INDEX and CI_NODE_TOTAL; Buildkite counts from 0: add 1):
#
#     docs/recipes/shard.sh play     in every job; keep results/ as an artifact
#     docs/recipes/shard.sh merge    in one job after all of them, with their artifacts
#
# The exit code of `play` is 0 if the shard was played, red or not: the verdict is that of `merge`.
set -eu
SEEDS="${SEEDS:-0..10000}"
SHARD="${SHARD:-${CI_NODE_INDEX:-1}}"
SHARDS="${SHARDS:-${CI_NODE_TOTAL:-1}}"
RESULTS="${RESULTS:-results}"

case "${1:-}" in
play)
    mkdir -p "$RESULTS"
    cargo sim --seeds "$SEEDS" --shard "$SHARD/$SHARDS" --no-shrink \
        --out "$RESULTS/results-$SHARD.json" || test $? -eq 1
    ;;
merge)
    cargo sim merge "$RESULTS"/results-*.json --out "$RESULTS/results.json"
    ;;
*)
    echo "usage: $0 play|merge" >&2
    exit 2
    ;;
esac
