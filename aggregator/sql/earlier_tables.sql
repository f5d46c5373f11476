-- Tables of the form before marks had writers.
SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'changed'
