-- Pairs of devices that were erased.
DELETE WHERE former IN {devices:Array(UInt64)} OR device IN {devices:Array(UInt64)}
