-- Rows of a settled table whose device is known under another number now, or not at all.
DELETE WHERE device IN {devices:Array(UInt64)}
