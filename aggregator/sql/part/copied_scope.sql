device IN {devices:Array(UInt64)} AND (toUnixTimestamp64Milli(received), journal, seq) > ({after_ms:Int64}, {after_journal:UInt64}, {after_seq:UInt64})
