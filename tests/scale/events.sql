-- An event log as a Django shop keeps one: skewed towards the recent, NULLs, JSON, decimals, uuids.
-- `rows` is set by the caller: psql -v rows=5000000 -f events.sql
SELECT setseed(0.17);

DROP TABLE IF EXISTS events;
CREATE TABLE events (
    id bigint PRIMARY KEY,
    user_id integer,
    event_type text,
    amount numeric(12, 2),
    payload jsonb,
    created_at timestamptz,
    is_test boolean,
    session uuid,
    note text
);

INSERT INTO events
SELECT
    n,
    floor(200000 * random() ^ 2)::integer,
    kinds.names[1 + floor(cardinality(kinds.names) * random() ^ 2)::integer],
    round((5000 * random() ^ 4)::numeric, 2),
    CASE WHEN random() >= 0.1 THEN
        jsonb_build_object(
            'ip', format('10.%s.%s.%s', floor(random() * 256), floor(random() * 256), floor(random() * 256)),
            'agent', 'agent-' || floor(random() * 50),
            'took_ms', floor(random() * 2000)
        )
    END,
    -- The square root makes days busier towards the end of the year; the jitter keeps the order of
    -- the ids from being the order of the timestamps. One in ten thousand has no timestamp.
    CASE WHEN n % 10000 <> 0 THEN
        timestamptz '2024-01-01 00:00:00+00'
            + sqrt(n::double precision / :rows) * interval '363 days'
            + random() * interval '36 hours'
    END,
    random() < 0.02,
    md5('session ' || n)::uuid,
    CASE WHEN random() >= 0.3 THEN
        left('The customer came back twice, compared three offers and left without a purchase', 20 + floor(random() * 40)::integer)
            || ' ' || floor(random() * 1000)
    END
FROM generate_series(1, :rows) AS n,
    (SELECT ARRAY[
        'page_view', 'click', 'login', 'logout', 'signup', 'purchase', 'refund', 'add_to_cart',
        'remove_from_cart', 'search', 'share', 'comment', 'like', 'follow', 'unfollow', 'upload',
        'download', 'error', 'password_reset', 'renewal'
    ] AS names) AS kinds;

CREATE INDEX events_created_at ON events (created_at);
VACUUM ANALYZE events;
