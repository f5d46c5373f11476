-- What each erasure found before it changed anything, so that one that was broken off and goes on still knows. The newest row of a request counts.
--
-- days: of the events. days_standing: those whose figures stand, in which the device was found. salt: a random number, by which a device becomes another one that nobody can tell, in figures that stand for good; 0 when
-- that is done.
CREATE TABLE IF NOT EXISTS erasures (
    request UInt64,
    at DateTime64(3, 'UTC'),
    version UInt64,
    events UInt64,
    unresolved UInt64,
    trial_events UInt64,
    salt UInt64,
    days Array(Date),
    days_standing Array(Date)
) ENGINE = ReplacingMergeTree(version)
ORDER BY request
TTL toDateTime(at) + INTERVAL RETENTION_DAYS DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
