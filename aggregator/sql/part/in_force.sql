-- The settled figures that a statement reads. Each part of a settled table is of one day and generation, so that they are told apart by the name of
-- its partition: a tuple of the two would be looked up for every row, which takes as long as reading them.
_partition_id IN {published:Array(String)}
