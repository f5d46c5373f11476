device IN {devices:Array(UInt64)} AND toUnixTimestamp64Milli(received) < {until_ms:Int64}
