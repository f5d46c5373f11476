-- What is stored of this database's tables, partition by partition.
SELECT table, partition, sum(rows) AS hits FROM system.parts WHERE database = currentDatabase() AND active GROUP BY table, partition
